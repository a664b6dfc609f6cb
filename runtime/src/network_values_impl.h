// Element-wise steps of a network's kernel: activations, layer normalisation, rows of odd length.
#pragma once

#include "network_kernel.h"
#include "simd.h"

namespace lrm {
namespace {

// The `count` < lanes floats at p; the other lanes are 0.
inline Vector load_some(const float* p, int count) {
  Vector x = splat(0.0f);
  for (int i = 0; i < count; ++i) x[i] = p[i];
  return x;
}

inline void store_some(float* p, Vector x, int count) {
  for (int i = 0; i < count; ++i) p[i] = x[i];
}

// Lane i and lane i ^ kStep trade places.
#define LRM_OTHER(l) ((l) ^ kStep)
template <int kStep>
inline Vector traded(Vector x) {
  return __builtin_shufflevector(x, x, LRM_EACH(LRM_OTHER));
}

// join of all lanes; join is associative.
template <class Join>
inline float joined(Vector x, const Join& join) {
#if LRM_LANES >= 16
  x = join(x, traded<8>(x));
#endif
#if LRM_LANES >= 8
  x = join(x, traded<4>(x));
#endif
  x = join(x, traded<2>(x));
  return join(x, traded<1>(x))[0];
}
inline float sum_of(Vector x) {
  return joined(x, [](Vector a, Vector b) { return a + b; });
}
inline float largest_of(Vector x) { return joined(x, maximum); }

// 2^t for t <= 0 to a relative error of 1e-7; t counts as -80 below that, so that neither a result
// nor the parts that it is split into are denormal numbers, which cost a hundred cycles each. NaN
// stays NaN: it is what the processor's maximum and minimum give if it is their second operand.
inline Vector power_of_two(Vector t) {
  const Vector bounded = maximum(splat(-80.0f), t);
#if LRM_LANES == 16
  constexpr int fraction_above_floor = 0x09;
  const Vector f = _mm512_maskz_reduce_ps(0xffff, bounded, fraction_above_floor);
  Vector p = f * 0.00187757870f + 0.00898933990f;
  p = p * f + 0.0558263180f;
  p = p * f + 0.240153617f;
  p = p * f + 0.693153073f;
  p = p * f + 0.99999994f;
  return _mm512_maskz_scalef_ps(0xffff, p, bounded);
#else
  return exponential(bounded * 0.693147181f);
#endif
}

// 1 / x for x in [1, 1e30], right to 2 units in the last place.
inline Vector reciprocal(Vector x) {
#if LRM_LANES == 16
  const Vector y = _mm512_maskz_rcp14_ps(0xffff, x);
  return y + y * (1.0f - x * y);
#else
  return 1.0f / x;
#endif
}

// -- activations ----------------------------------------------------------------------------------
//
// For numbers to 1e6 in magnitude; beyond, what should be 0 of SiLU and GELU by tanh is up to
// |x| 2^-62. NaN stays NaN, and infinity may become it.

// x / 2 (1 + erf(x / sqrt 2)), right to 2e-7 |x|: Abramowitz and Stegun 1964, 7.1.26.
inline Vector gelu(Vector x) {
  const Vector z = maximum(x, -x) * 0.707106781f;
  const Vector t = reciprocal(1.0f + 0.3275911f * z);
  Vector p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const Vector tail = p * t * power_of_two(z * z * -1.44269504f);  // 1 - erf(z)
  return 0.5f * x * (x < splat(0.0f) ? tail : 2.0f - tail);
}

// Hendrycks and Gimpel 2016 (arXiv 1606.08415).
inline Vector gelu_tanh(Vector x) {
  return x * logistic(1.59576912f * (x + 0.044715f * x * x * x));
}

template <int kActivation>
inline Vector activated(Vector x) {
  if constexpr (kActivation == linear_gelu || kActivation == linear_geglu) return gelu(x);
  if constexpr (kActivation == linear_gelu_tanh) return gelu_tanh(x);
  if constexpr (kActivation == linear_silu) return x * logistic(x);
  if constexpr (kActivation == linear_relu) return maximum(splat(0.0f), x);
  if constexpr (kActivation == linear_relu6) return minimum(splat(6.0f), maximum(splat(0.0f), x));
  return x;
}

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// Calls step(Constant) with the activation.
template <class Step>
void with_activation(int activation, const Step& step) {
  switch (activation) {
    case linear_gelu:
      return step(Constant<linear_gelu>());
    case linear_gelu_tanh:
      return step(Constant<linear_gelu_tanh>());
    case linear_silu:
      return step(Constant<linear_silu>());
    case linear_relu:
      return step(Constant<linear_relu>());
    case linear_geglu:
      return step(Constant<linear_geglu>());
    case linear_relu6:
      return step(Constant<linear_relu6>());
    default:
      return step(Constant<linear_identity>());
  }
}

void activate(int activation, const float* x, long long count, float* y) {
  with_activation(activation, [=](auto kind) {
    constexpr int kActivation = decltype(kind)::value;
    long long i = 0;
    for (; i + lanes <= count; i += lanes) {
      store_unaligned(y + i, activated<kActivation>(load_unaligned(x + i)));
    }
    const int rest = static_cast<int>(count - i);
    if (rest > 0) store_some(y + i, activated<kActivation>(load_some(x + i, rest)), rest);
  });
}

// -- layer normalisation --------------------------------------------------------------------------

// each(column, count of lanes that are used) over a row.
template <class Each>
void for_columns(int width, const Each& each) {
  for (int c = 0; c < width; c += lanes) each(c, width - c < lanes ? width - c : lanes);
}

inline Vector load_lanes(const float* p, int used) {
  return used == lanes ? load_unaligned(p) : load_some(p, used);
}

inline void store_lanes(float* p, Vector x, int used) {
  used == lanes ? store_unaligned(p, x) : store_some(p, x, used);
}

// mean is rounded, which shows where it is large beside the deviations from it: their own mean,
// `rest`, corrects both (Chan, Golub and LeVeque 1983, "Algorithms for Computing the Sample
// Variance").
void normalise_row(const LayerNormWork& w, const float* x, float* y) {
  const auto width = static_cast<float>(w.width);
  Vector sum = splat(0.0f), rests = splat(0.0f), squares = splat(0.0f);
  for_columns(w.width, [&](int c, int used) { sum += load_lanes(x + c, used); });
  const float mean = sum_of(sum) / width;
  for_columns(w.width, [&](int c, int used) {
    Vector off = load_lanes(x + c, used) - mean;
    for (int i = used; i < lanes; ++i) off[i] = 0.0f;
    rests += off;
    squares += off * off;
  });
  const float rest = sum_of(rests) / width;
  const float variance = sum_of(squares) / width - rest * rest;  // rounded: perhaps below 0
  const float factor = 1.0f / __builtin_sqrtf((variance < 0.0f ? 0.0f : variance) + w.epsilon);
  for_columns(w.width, [&](int c, int used) {
    Vector value = (load_lanes(x + c, used) - mean - rest) * factor;
    if (w.scale != nullptr) value *= load_lanes(w.scale + c, used);
    if (w.bias != nullptr) value += load_lanes(w.bias + c, used);
    store_lanes(y + c, value, used);
  });
}

void layer_norm(const LayerNormWork& w, int first, int count) {
  for (long long row = first; row < first + count; ++row) {
    normalise_row(w, w.x + row * w.width, w.y + row * w.width);
  }
}

// -- depthwise convolution ------------------------------------------------------------------------

// `used` channels from c on of one place of y.
inline Vector convolved(const DepthwiseWork& w, int row, int column, int c, int used) {
  Vector sum = w.bias == nullptr ? splat(0.0f) : load_lanes(w.bias + c, used);
  for (int ky = 0; ky < w.kernel; ++ky) {
    const int y = row * w.stride - w.top + ky;
    if (y < 0 || y >= w.height) continue;
    for (int kx = 0; kx < w.kernel; ++kx) {
      const int x = column * w.stride - w.left + kx;
      if (x < 0 || x >= w.width) continue;
      const long long at = (1LL * y * w.width + x) * w.channels + c;
      sum += load_lanes(w.x + at, used) *
             load_lanes(w.matrix + (1LL * ky * w.kernel + kx) * w.channels + c, used);
    }
  }
  return sum;
}

void depthwise(const DepthwiseWork& w, int first, int count) {
  with_activation(w.activation, [=](auto kind) {
    constexpr int kActivation = decltype(kind)::value;
    for (int row = first; row < first + count; ++row) {
      for (int column = 0; column < w.y_width; ++column) {
        float* y = w.y + (1LL * row * w.y_width + column) * w.channels;
        for_columns(w.channels, [&](int c, int used) {
          store_lanes(y + c, activated<kActivation>(convolved(w, row, column, c, used)), used);
        });
      }
    }
  });
}

}  // namespace
}  // namespace lrm
