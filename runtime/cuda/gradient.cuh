// The gradient of raw density with respect to position, by reverse accumulation: as
// src/decoder_gradient_impl.h, one point per thread.
#pragma once

#include "decoder.cuh"

namespace lrm {

LRM_HOST_DEVICE float dot4(float4 a, const float* b) {
  return a.x * b[0] + a.y * b[1] + a.z * b[2] + a.w * b[3];
}

// The shares that the folded planes' channels have in raw density, [hidden].
LRM_HOST_DEVICE void plane_shares(const FieldData& field, const float* slopes, float* shares) {
  if (linear) {
    for (int k = 0; k < hidden; ++k) shares[k] = k == 0 ? 1.0f : 0.0f;
    return;
  }
  const float* last = field.layers + last_offset();
  LRM_UNROLL
  for (int k = 0; k < hidden; ++k) {
    shares[k] = load4(last + 4 * k).x * slopes[hidden_layers * hidden + k];
  }
  float next[hidden];
  LRM_ROLLED
  for (int layer = hidden_layers - 1; layer >= 0; --layer) {
    const float* slope = slopes + layer * hidden;
    multiply(field.layers + layer_offset(layer) + transposed_offset, shares,
             [&](int row, const float* sums) {
               LRM_UNROLL
               for (int r = 0; r < panel_rows; ++r) next[row + r] = sums[r] * slope[row + r];
             });
    LRM_UNROLL
    for (int k = 0; k < hidden; ++k) shares[k] = next[k];
  }
}

// Derivatives of raw density along a plane's width and height, texels.
LRM_HOST_DEVICE void plane_slopes(const FieldData& field, const Location& at, int plane,
                                  const float* shares, float result[2]) {
  const int corners[4] = {0, hidden, row_stride, row_stride + hidden};
  float corner[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  LRM_ROLLED
  for (int c = 0; c < hidden; c += 4) {
    const float* texel = field.planes + at.offset[plane] + c;
    LRM_UNROLL
    for (int k = 0; k < 4; ++k) corner[k] += dot4(load4(texel + corners[k]), shares + c);
  }
  const float row = at.row[plane], column = at.column[plane];
  result[0] = (corner[1] - corner[0]) * (1.0f - row) + (corner[3] - corner[2]) * row;
  result[1] = (corner[2] - corner[0]) * (1.0f - column) + (corner[3] - corner[1]) * column;
}

// gradient [3]: of raw density, per native unit.
LRM_HOST_DEVICE Raw decode_with_gradient(const FieldData& field, const float xyz[3],
                                         float gradient[3]) {
  const Location at = locate(xyz);
  float slopes[linear ? 1 : (hidden_layers + 1) * hidden];
  const Raw raw = decode<true>(field, at, slopes);
  float shares[hidden];
  plane_shares(field, slopes, shares);
  const float column_scale = column_map().scale, row_scale = row_map().scale;
  for (int axis = 0; axis < 3; ++axis) gradient[axis] = 0.0f;
  LRM_UNROLL
  for (int plane = 0; plane < 3; ++plane) {
    float along[2];
    plane_slopes(field, at, plane, shares, along);
    gradient[plane_axis(plane, 0)] += along[0] * column_scale;
    gradient[plane_axis(plane, 1)] += along[1] * row_scale;
  }
  return raw;
}

}  // namespace lrm
