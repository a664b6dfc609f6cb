// Half precision on tensor cores: mma.sync.m16n8k16, products of LRM_PRECISION with float32 sums.
//
// Fragments as the PTX ISA lays them out over a warp. With group = lane / 4 and member = lane % 4 a
// lane holds, two numbers to a register, the first in the low half:
//
//   A [16, 16]   a0, a1: rows group and group + 8, columns 2 member, + 1;   a2, a3: columns + 8
//   B [16, 8]    b0: rows 2 member, + 1 of column group;                    b1: rows + 8
//   sums [16, 8] c0, c1: row group, columns 2 member, + 1;                  c2, c3: row + 8
//
// So the sums of two neighbouring products, rounded, are an A fragment of the next layer:
// activations never leave their registers (Mueller et al. 2021, "Real-time Neural Radiance Caching
// for Path Tracing", keep them in shared memory).
#pragma once

#include "field.cuh"
#include "warp.cuh"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "half precision: expected an architecture of compute capability 8.0 or newer"
#endif
#if defined(__CUDACC_VER_MAJOR__) && __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ < 1201
#error "half precision: expected CUDA 12.1 or newer (cvt.satfinite, PTX 8.1)"
#endif

namespace lrm {

// sums += A B.
__device__ inline void multiply_add(float sums[4], const unsigned a[4], unsigned b0, unsigned b1) {
#if defined(__CUDA_ARCH__)
#if LRM_PRECISION == 2
#define LRM_MMA "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
#else
#define LRM_MMA "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
#endif
  asm volatile(LRM_MMA "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#undef LRM_MMA
#elif !defined(__CUDACC__)
  const shim::MatrixOperands operands{{a[0], a[1], a[2], a[3]}, {b0, b1}};
  shim::block.together(&operands, sums, shim::multiply_fragments<LRM_PRECISION == 2>);
#endif
}

// Two numbers, rounded to nearest; what is too large becomes the largest number.
LRM_HOST_DEVICE unsigned pack(float low, float high) {
#if defined(__CUDA_ARCH__)
  unsigned packed;
#if LRM_PRECISION == 2
  asm("cvt.rn.satfinite.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
#else
  asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
#endif
  return packed;
#elif !defined(__CUDACC__)
  constexpr bool is_bfloat16 = LRM_PRECISION == 2;
  return shim::rounded<is_bfloat16>(low) | static_cast<unsigned>(shim::rounded<is_bfloat16>(high))
                                               << 16;
#else
  return 0;  // the host half of nvcc's output, which nobody calls
#endif
}

LRM_HOST_DEVICE float2 unpack(unsigned packed) {
#if defined(__CUDA_ARCH__)
  float2 pair;
#if LRM_PRECISION == 2
  pair.x = __uint_as_float(packed << 16);
  pair.y = __uint_as_float(packed & 0xFFFF0000u);
#else
  asm("{.reg .f16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high;}"
      : "=f"(pair.x), "=f"(pair.y)
      : "r"(packed));
#endif
  return pair;
#elif !defined(__CUDACC__)
  return {shim::widened<LRM_PRECISION == 2>(packed),
          shim::widened<LRM_PRECISION == 2>(packed >> 16)};
#else
  return {};
#endif
}

// The GPU's own tanh: one instruction, where exp and division are two. The PTX ISA promises 2^-11
// relative. Under the shim it is exact, or off by LRM_SHIM_TANH_ERROR everywhere.
LRM_HOST_DEVICE float quick_tanh(float x) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("tanh.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#elif defined(LRM_SHIM_TANH_ERROR)
  return tanhf(x) * (1.0f + LRM_SHIM_TANH_ERROR);
#else
  return tanhf(x);
#endif
}

// x / (1 + exp(-x)) = x / 2 (1 + tanh(x / 2)).
LRM_HOST_DEVICE float rounded_activation(float x) {
  if (LRM_ACTIVATION != activation_silu) return relu<QuickMath>(x);
  const float half = 0.5f * x;
  return half + half * quick_tanh(half);
}

}  // namespace lrm
