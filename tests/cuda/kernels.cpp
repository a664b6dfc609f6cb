// Every kernel, compiled for the CPU.
#include "kernels.cu"

LRM_EXPORT_KERNEL(lrm_density_grid)
LRM_EXPORT_KERNEL(lrm_find_not_finite)
LRM_EXPORT_KERNEL(lrm_fold_planes)
LRM_EXPORT_KERNEL(lrm_lattice_cells)
LRM_EXPORT_KERNEL(lrm_lattice_nodes)
LRM_EXPORT_KERNEL(lrm_prepare_columns)
LRM_EXPORT_KERNEL(lrm_prepare_rows)
LRM_EXPORT_KERNEL(lrm_query)
LRM_EXPORT_KERNEL(lrm_render)
LRM_EXPORT_KERNEL(lrm_scan_offsets)
LRM_EXPORT_KERNEL(lrm_scan_sums)
LRM_EXPORT_KERNEL(lrm_surface_attributes)
LRM_EXPORT_KERNEL(lrm_surface_count)
LRM_EXPORT_KERNEL(lrm_surface_edges)
LRM_EXPORT_KERNEL(lrm_surface_face_normals)
LRM_EXPORT_KERNEL(lrm_surface_faces)
LRM_EXPORT_KERNEL(lrm_surface_ranks)
LRM_EXPORT_KERNEL(lrm_surface_replace_normals)
LRM_EXPORT_KERNEL(lrm_surface_seeds)
LRM_EXPORT_KERNEL(lrm_surface_spread)
LRM_EXPORT_KERNEL(lrm_surface_ticks)
LRM_EXPORT_KERNEL(lrm_surface_values)
LRM_EXPORT_KERNEL(lrm_surface_vertices)

extern "C" int render_job_bytes() { return sizeof(lrm::RenderJob); }
extern "C" int surface_job_bytes() { return sizeof(lrm::SurfaceJob); }

// For test_tensor_core.py: what the shim does in a tensor core's place.
namespace {

template <bool kBfloat16>
void multiply(const lrm::shim::MatrixOperands* operands, float* sums) {
  const void* given[lrm::shim::lanes];
  void* taken[lrm::shim::lanes];
  for (unsigned lane = 0; lane < lrm::shim::lanes; ++lane) {
    given[lane] = operands + lane;
    taken[lane] = sums + 4 * lane;
  }
  lrm::shim::multiply_fragments<kBfloat16>(given, taken);
}

}  // namespace

extern "C" void multiply_float16(const lrm::shim::MatrixOperands* operands, float* sums) {
  multiply<false>(operands, sums);
}
extern "C" void multiply_bfloat16(const lrm::shim::MatrixOperands* operands, float* sums) {
  multiply<true>(operands, sums);
}
extern "C" void round_float16(const float* values, int count, unsigned short* halves) {
  for (int i = 0; i < count; ++i) halves[i] = lrm::to_half(values[i]);
}
extern "C" void round_bfloat16(const float* values, int count, unsigned short* halves) {
  for (int i = 0; i < count; ++i) halves[i] = lrm::to_bfloat16(values[i]);
}
extern "C" long long matrix_products() { return lrm::shim::matrix_products; }
