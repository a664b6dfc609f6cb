// All kernels in one translation unit; the LRM_... macros of field.cuh come before it.
#include "density_grid.cu"
#include "fold_planes.cu"
#include "occupancy.cu"
#include "query.cu"
#include "render.cu"
