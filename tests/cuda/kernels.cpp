// Every kernel, compiled for the CPU.
#include "decoder.cuh"
#include "density_grid.cu"
#include "fold_planes.cu"
#include "query.cu"

LRM_EXPORT_KERNEL(lrm_density_grid)
LRM_EXPORT_KERNEL(lrm_fold_planes)
LRM_EXPORT_KERNEL(lrm_query)
