// Activations between a network's products.
//
// For numbers to 1e6 in magnitude; beyond, what should be 0 of SiLU and GELU by tanh is up to
// |x| 2^-62. NaN stays NaN, and infinity may become it.

#pragma once

#include "network_kernel.h"
#include "simd.h"

namespace lrm {
namespace {

// 2^t for t <= 0 to a relative error of 1e-7; t counts as -80 below that, so that neither a result
// nor the parts that it is split into are denormal numbers, which cost a hundred cycles each. NaN
// stays NaN: it is what the processor's maximum and minimum give if it is their second operand.
inline Vector negative_power_of_two(Vector t) {
  const Vector bounded = maximum(splat(-80.0f), t);
#if LRM_LANES == 16
  return power_of_two(bounded);
#else
  return exponential(bounded * 0.693147181f);
#endif
}

// x / 2 (1 + erf(x / sqrt 2)), right to 2e-7 |x|: Abramowitz and Stegun 1964, 7.1.26.
inline Vector gelu(Vector x) {
  const Vector z = maximum(x, -x) * 0.707106781f;
  const Vector t = reciprocal(1.0f + 0.3275911f * z);
  Vector p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const Vector tail = p * t * negative_power_of_two(z * z * -1.44269504f);  // 1 - erf(z)
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

}  // namespace
}  // namespace lrm
