// A vector of LRM_LANES floats by GCC and Clang vector extensions, and the functions the decoder
// needs on it. Included only by the per-instruction-set translation units; everything has internal
// linkage (see decoder_kernel.h).
#pragma once

#if LRM_LANES >= 8
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace lrm {
namespace {

constexpr int lanes = LRM_LANES;

typedef float Vector __attribute__((vector_size(4 * LRM_LANES), may_alias));
typedef float UnalignedVector __attribute__((vector_size(4 * LRM_LANES), may_alias, aligned(4)));
typedef int IntVector __attribute__((vector_size(4 * LRM_LANES), may_alias));

inline Vector load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
inline Vector load_unaligned(const float* p) {
  return *reinterpret_cast<const UnalignedVector*>(p);
}
inline void store(float* p, Vector x) { *reinterpret_cast<Vector*>(p) = x; }
inline void store_unaligned(float* p, Vector x) { *reinterpret_cast<UnalignedVector*>(p) = x; }
inline void store(int* p, IntVector x) { *reinterpret_cast<IntVector*>(p) = x; }

inline Vector splat(float x) {
#if LRM_LANES == 16
  return Vector{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif LRM_LANES == 8
  return Vector{x, x, x, x, x, x, x, x};
#else
  return Vector{x, x, x, x};
#endif
}

// Written with intrinsics where there are some: compilers turn the comparison and selection below
// into two instructions, because of NaN and signed zero. (The masked forms for AVX-512 are the
// plain instructions; GCC 12 warns about an uninitialised variable inside its own unmasked ones.)
inline Vector minimum(Vector a, Vector b) {
#if LRM_LANES == 16
  return _mm512_maskz_min_ps(0xffff, a, b);
#elif LRM_LANES == 8
  return _mm256_min_ps(a, b);
#elif defined(__SSE2__)
  return _mm_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}

inline Vector maximum(Vector a, Vector b) {
#if LRM_LANES == 16
  return _mm512_maskz_max_ps(0xffff, a, b);
#elif LRM_LANES == 8
  return _mm256_max_ps(a, b);
#elif defined(__SSE2__)
  return _mm_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}

// 1 where x > 0, elsewhere 0.
inline Vector positive(Vector x) { return -__builtin_convertvector(x > splat(0.0f), Vector); }

// The lower of the two texels that a clamped coordinate in [-1, size] interpolates between, in
// [-1, size - 1], and how far from it the coordinate lies.
inline IntVector base_texel(Vector x, int size, Vector* fraction) {
  IntVector base = __builtin_convertvector(x, IntVector);  // rounds towards zero
  base += __builtin_convertvector(base, Vector) > x;       // a true comparison is -1
  base += base >= size;                                    // x == size: base size - 1, fraction 1
  *fraction = x - __builtin_convertvector(base, Vector);
  return base;
}

// exp(x) to within 2 units in the last place, for x clamped to [-86.9, 88.0]: results stay normal
// and finite (1.8e-38 to 1.7e38), which no use in a decoder can tell from 0 and infinity.
//
// x = n ln 2 + r with |r| <= ln 2 / 2 in two steps (Cody and Waite 1980), exp(r) by a minimax
// polynomial of degree 6 (relative error 4e-9), 2^n through the exponent bits.
inline Vector exponential(Vector x) {
  const float rounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Vector bounded = minimum(splat(88.0f), maximum(splat(-86.9f), x));  // NaN stays NaN
  const Vector shifted = bounded * 1.44269504f + rounder;
  const Vector n = shifted - rounder;
  Vector r = bounded - n * 0.693359375f;  // ln 2 rounded to 9 bits: the product is exact
  r = r + n * 2.12194440e-4f;
  Vector p = r * 1.38145988e-3f + 8.36871658e-3f;
  p = p * r + 4.1668389e-2f;
  p = p * r + 0.166665211f;
  p = p * r + 0.49999994f;
  p = p * (r * r) + r;
  const IntVector power_bits = (reinterpret_cast<IntVector>(shifted) << 23) + (127 << 23);
  const Vector power = reinterpret_cast<Vector>(power_bits);
  return p * power + power;
}

// exp(x) for sums 1 + exp(x): relative error |x| 6e-8 + 2e-7, which leaves x / (1 + exp(-x)) and
// 1 / (1 + exp(-x)) right to 2e-7 absolute, at three quarters of the instructions. x counts as at
// most 43 in magnitude: 2^62 is as good as infinity there, and no sum overflows.
//
// 2^t with t = n + f, |f| <= 1/2: a minimax polynomial of degree 5 (relative error 8e-8), whose
// exponent bits take n.
inline Vector quick_exponential(Vector x) {
  const float rounder = 12582912.0f;  // as above
  const Vector t = minimum(maximum(x * 1.44269504f, splat(-62.0f)), splat(62.0f));
  const Vector shifted = t + rounder;
  const Vector f = t - (shifted - rounder);
  Vector p = f * 0.00132647133f + 0.00967152324f;
  p = p * f + 0.0555073395f;
  p = p * f + 0.240222424f;
  p = p * f + 0.693147004f;
  p = p * f + 1.0f;
  const IntVector scaled =
      reinterpret_cast<IntVector>(p) + (reinterpret_cast<IntVector>(shifted) << 23);
  return reinterpret_cast<Vector>(scaled);
}

#if LRM_LANES == 16
// 2^t to a relative error of 1e-7: the fraction of t above the integer below it by a polynomial
// (minimax on [0, 1]), which is then scaled by that integer's power of two. Results that are not
// normal numbers cost a hundred cycles each: bound t.
inline Vector power_of_two(Vector t) {
  constexpr int fraction_above_floor = 0x09;
  const Vector f = _mm512_maskz_reduce_ps(0xffff, t, fraction_above_floor);
  Vector p = f * 0.00187757870f + 0.00898933990f;
  p = p * f + 0.0558263180f;
  p = p * f + 0.240153617f;
  p = p * f + 0.693153073f;
  p = p * f + 0.99999994f;
  return _mm512_maskz_scalef_ps(0xffff, p, t);
}
#endif

// 1 / x for x in [1, 1e30], right to 2 units in the last place. AVX-512 has a reciprocal to 14
// bits, which one step of Newton's doubles.
inline Vector reciprocal(Vector x) {
#if LRM_LANES == 16
  const Vector y = _mm512_maskz_rcp14_ps(0xffff, x);
  return y + y * (1.0f - x * y);
#else
  return 1.0f / x;
#endif
}

// 1 / (1 + exp(-x)), right to 3e-7. AVX-512 bounds a magnitude in one instruction.
inline Vector logistic(Vector x) {
#if LRM_LANES == 16
  constexpr int smaller_magnitude = 0x02;
  const Vector t = _mm512_maskz_range_ps(0xffff, x * -1.44269504f, splat(62.0f), smaller_magnitude);
  return reciprocal(power_of_two(t) + 1.0f);
#else
  return reciprocal(1.0f + quick_exponential(-x));
#endif
}

inline Vector log1p_each(Vector x) {
  for (int i = 0; i < lanes; ++i) x[i] = __builtin_log1pf(x[i]);
  return x;
}

// Transposition in log2(lanes) rounds: in the round of step s, rows i and i + s trade the lanes
// whose index has bit s clear in one and set in the other.
#define LRM_LOW(l) (((l) & kStep) != 0 ? lanes + (l) - kStep : (l))
#define LRM_HIGH(l) (((l) & kStep) != 0 ? lanes + (l) : (l) + kStep)
#define LRM_4(f, l) f(l), f((l) + 1), f((l) + 2), f((l) + 3)
#if LRM_LANES == 16
#define LRM_EACH(f) LRM_4(f, 0), LRM_4(f, 4), LRM_4(f, 8), LRM_4(f, 12)
#elif LRM_LANES == 8
#define LRM_EACH(f) LRM_4(f, 0), LRM_4(f, 4)
#else
#define LRM_EACH(f) LRM_4(f, 0)
#endif

template <int kStep>
inline void exchange(Vector rows[lanes]) {
  for (int i = 0; i < lanes; ++i) {
    if ((i & kStep) != 0) continue;
    const Vector a = rows[i];
    const Vector b = rows[i + kStep];
    rows[i] = __builtin_shufflevector(a, b, LRM_EACH(LRM_LOW));
    rows[i + kStep] = __builtin_shufflevector(a, b, LRM_EACH(LRM_HIGH));
  }
}

inline void transpose(Vector rows[lanes]) {
  exchange<1>(rows);
  exchange<2>(rows);
#if LRM_LANES >= 8
  exchange<4>(rows);
#endif
#if LRM_LANES >= 16
  exchange<8>(rows);
#endif
}

}  // namespace
}  // namespace lrm
