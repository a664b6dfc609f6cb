// The point decoder in float32, one point per thread: four texels from each plane, then the layers.
//
// The inputs of a layer stay in registers; its outputs go through the thread's local memory, 8 rows
// at a time, so that the code of a layer is one loop of 8 hidden multiply-adds that every layer
// shares. All threads of a warp read the same weight at once.
#pragma once

#include "field.cuh"

namespace lrm {

// What the last layer gives: raw density, then raw colour.
struct Raw {
  float density;
  float color[3];
};

LRM_HOST_DEVICE float activation(float x) {
  return LRM_ACTIVATION == activation_silu ? silu<QuickMath>(x) : relu<QuickMath>(x);
}

LRM_HOST_DEVICE float activation_slope(float x) {
  if (LRM_ACTIVATION == activation_silu) return silu_slope<QuickMath>(x);
  return x > 0.0f ? 1.0f : 0.0f;
}

LRM_HOST_DEVICE void add_scaled(float4* sum, float4 a, float weight) {
  sum->x += a.x * weight;
  sum->y += a.y * weight;
  sum->z += a.z * weight;
  sum->w += a.w * weight;
}

// The first layer's sums, before its activation. x [hidden].
LRM_HOST_DEVICE void gather(const FieldData& field, const Location& at, float* x) {
  const int corners[4] = {0, hidden, row_stride, row_stride + hidden};
  float weights[3][4];
  LRM_UNROLL
  for (int plane = 0; plane < 3; ++plane) {
    bilinear_weights<ExactMath>(at.row[plane], at.column[plane], weights[plane]);
  }
  LRM_UNROLL
  for (int c = 0; c < hidden; c += 4) {
    float4 sum = {0.0f, 0.0f, 0.0f, 0.0f};
    LRM_UNROLL
    for (int plane = 0; plane < 3; ++plane) {
      const float* texel = field.planes + at.offset[plane] + c;
      LRM_UNROLL
      for (int k = 0; k < 4; ++k) add_scaled(&sum, load4(texel + corners[k]), weights[plane][k]);
    }
    x[c] = sum.x;
    x[c + 1] = sum.y;
    x[c + 2] = sum.z;
    x[c + 3] = sum.w;
  }
}

// The products of a matrix and x, panel after panel: finish(row, sums [panel_rows]).
template <class Finish>
LRM_HOST_DEVICE void multiply(const float* panels, const float* x, const Finish& finish) {
  LRM_ROLLED
  for (int row = 0; row < hidden; row += panel_rows) {
    float4 low = {0.0f, 0.0f, 0.0f, 0.0f}, high = low;
    LRM_UNROLL
    for (int k = 0; k < hidden; ++k, panels += panel_rows) {
      add_scaled(&low, load4(panels), x[k]);
      add_scaled(&high, load4(panels + 4), x[k]);
    }
    const float sums[panel_rows] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    finish(row, sums);
  }
}

// x [hidden]: the last hidden layer's values, activated.
LRM_HOST_DEVICE Raw last_layer(const FieldData& field, const float* x) {
  const float* weights = read_again(field.layers) + last_offset();
  float4 sum = load4(weights + 4 * hidden);
  LRM_UNROLL
  for (int k = 0; k < hidden; ++k) add_scaled(&sum, load4(weights + 4 * k), x[k]);
  return {sum.x, {sum.y, sum.z, sum.w}};
}

// kSlopes: also the activations' derivatives, slopes [hidden_layers + 1, hidden].
template <bool kSlopes>
LRM_HOST_DEVICE Raw decode(const FieldData& field, const Location& at, float* slopes) {
  float x[hidden];
  gather(field, at, x);
  if (linear) return {x[0], {x[1], x[2], x[3]}};
  LRM_UNROLL
  for (int k = 0; k < hidden; ++k) {
    if (kSlopes) slopes[k] = activation_slope(x[k]);
    x[k] = activation(x[k]);
  }
  float y[hidden];
  LRM_ROLLED
  for (int layer = 0; layer < hidden_layers; ++layer) {
    const float* parameters = field.layers + layer_offset(layer);
    const float* bias = parameters + bias_offset;
    multiply(parameters, x, [&](int row, const float* sums) {
      LRM_UNROLL
      for (int r = 0; r < panel_rows; ++r) {
        const float value = sums[r] + bias[row + r];
        if (kSlopes) slopes[(layer + 1) * hidden + row + r] = activation_slope(value);
        y[row + r] = activation(value);
      }
    });
    LRM_UNROLL
    for (int k = 0; k < hidden; ++k) x[k] = y[k];
  }
  return last_layer(field, x);
}

LRM_HOST_DEVICE Raw decode(const FieldData& field, const float xyz[3]) {
  return decode<false>(field, locate(xyz), nullptr);
}

// -- What the raw values mean ---------------------------------------------------------------------

LRM_HOST_DEVICE float density_value(float raw) {
  const float x = raw + LRM_DENSITY_BIAS;
  // Bounded as on the CPU, so that a density is finite and not zero.
  if (LRM_DENSITY_ACTIVATION == density_exp) {
    return expf(ExactMath::min(ExactMath::max(x, -86.9f), 88.0f));
  }
  if (LRM_DENSITY_ACTIVATION == density_relu) return relu<ExactMath>(x);
  return softplus<ExactMath>(x);
}

// The raw density that the activation turns into `density` (> 0).
LRM_HOST_DEVICE float raw_for_density(float density) {
  const double raw = raw_for_density<ExactMath>(LRM_DENSITY_ACTIVATION, density);
  return static_cast<float>(raw - static_cast<double>(LRM_DENSITY_BIAS));
}

LRM_HOST_DEVICE void color_values(const Raw& raw, float rgb[3]) {
  LRM_UNROLL
  for (int i = 0; i < 3; ++i) rgb[i] = color_value<ExactMath>(raw.color[i], LRM_COLOR_WIDEN);
}

}  // namespace lrm
