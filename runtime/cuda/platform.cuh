// What the kernels need of the compiler: nvcc and NVRTC, or a C++ compiler with the shim.
#pragma once

#if defined(__CUDACC__)
#define LRM_UNROLL _Pragma("unroll")
#define LRM_ROLLED _Pragma("unroll 1")
#else
#include "host_shim.h"
#define LRM_UNROLL
#define LRM_ROLLED
#endif

#include "../src/field_semantics.h"

namespace lrm {

// Outside the layers: one density, one colour a point.
struct ExactMath {
  using Real = float;
  LRM_HOST_DEVICE static Real constant(float x) { return x; }
  LRM_HOST_DEVICE static Real min(Real a, Real b) { return a < b ? a : b; }
  LRM_HOST_DEVICE static Real max(Real a, Real b) { return a > b ? a : b; }
  LRM_HOST_DEVICE static Real exp(Real x) { return expf(x); }
  LRM_HOST_DEVICE static Real log1p(Real x) { return log1pf(x); }
  LRM_HOST_DEVICE static double log(double x) { return ::log(x); }
  LRM_HOST_DEVICE static double expm1(double x) { return ::expm1(x); }
};

// Inside the layers: the GPU's own exponential, 2 + |1.2 x| units in the last place, which leaves
// x / (1 + exp(-x)) right to about 1e-6 relative to the larger of |x| and 1.
struct QuickMath : ExactMath {
  LRM_HOST_DEVICE static Real exp(Real x) {
#if defined(__CUDA_ARCH__)
    return __expf(x);
#else
    return expf(x);
#endif
  }
};

// From memory that no thread of the launch writes.
LRM_HOST_DEVICE float4 load4(const float* p) {
#if defined(__CUDA_ARCH__)
  return __ldg(reinterpret_cast<const float4*>(p));
#else
  return *reinterpret_cast<const float4*>(p);
#endif
}

// The same pointer, of which the compiler does not know it: what is read through it in a loop is
// read each time. Otherwise weights would be kept for the next point, and spilled.
LRM_HOST_DEVICE const float* read_again(const float* p) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+l"(p));
#endif
  return p;
}

// The thread's index in a one-dimensional launch.
__device__ inline long long thread_index() {
  return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}

}  // namespace lrm
