// The kernels, in a namespace of their own: they share names with the CPU stage, and one library
// must not hold two different inline functions of one name.
#pragma once

#include LRM_CUDA_FIELD  // the LRM_... macros of field.cuh

#ifndef LRM_PRECISION
#error "LRM_CUDA_FIELD is of an older version: write it again with export/cuda_field.py"
#endif

#define lrm lrm_kernels
#include "../half_bits.h"
#include "../kernels.cu"
#undef lrm
