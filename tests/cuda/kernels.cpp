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
