// Every kernel, compiled for the CPU.
#include "kernels.cu"

LRM_EXPORT_KERNEL(lrm_density_grid)
LRM_EXPORT_KERNEL(lrm_fold_planes)
LRM_EXPORT_KERNEL(lrm_lattice_cells)
LRM_EXPORT_KERNEL(lrm_lattice_nodes)
LRM_EXPORT_KERNEL(lrm_query)
LRM_EXPORT_KERNEL(lrm_render)

extern "C" int render_job_bytes() { return sizeof(lrm::RenderJob); }
