// The gradient of raw density with respect to position, by reverse accumulation through the layers
// and the bilinear weights. See decoder_kernel_impl.h for how values lie.
//
// The field is piecewise smooth: at a texel's border, where it has a crease, this is the derivative
// on the side that the point was located on.
#pragma once

#include "decoder_layers_impl.h"

namespace lrm {
namespace {

// kernel_rows inputs' share of the density for tile_points points: transposed weights times the
// outputs' shares, times the activation's slope.
__attribute__((noinline)) inline void share_tile(const float* panel, int outputs,
                                                 const float* shares, const float* slope,
                                                 float* result) {
  Vector sum[kernel_rows][tile_vectors];
  for (int r = 0; r < kernel_rows; ++r) {
    for (int v = 0; v < tile_vectors; ++v) sum[r][v] = splat(0.0f);
  }
  multiply<kernel_rows>(panel, outputs, shares, sum);
  for (int r = 0; r < kernel_rows; ++r) {
    for (int v = 0; v < tile_vectors; ++v) {
      const int at = r * kernel_block + v * lanes;
      store(result + at, sum[r][v] * load(slope + at));
    }
  }
}

// The last layer's inputs' shares of the density, its one weight row times the slope.
inline void first_shares(const KernelModel& m, int points, const float* slope, float* shares) {
  const int rows = m.layers[m.layer_count - 1].inputs;
  for (int k = 0; k < rows; ++k) {
    for (int i = 0; i < points; i += lanes) {
      const int at = k * kernel_block + i;
      store(shares + at, load(slope + at) * m.density_row[k]);
    }
  }
}

// Rows of shares that the planes' channels have in the density. The values in `buffers` are lost.
inline float* plane_shares(const KernelModel& m, int points, Buffers* buffers) {
  float* shares = buffers->values[0];
  for (int i = 0; i < m.channel_stride * kernel_block; ++i) shares[i] = 0.0f;
  if (m.layer_count == 0) {
    for (int i = 0; i < points; i += lanes) store(shares + i, splat(1.0f));
    return shares;
  }
  first_shares(m, points, buffers->slope(m.layer_count - 1), shares);
  for (int layer = m.layer_count - 2; layer >= 0; --layer) {
    const KernelLayer& l = m.layers[layer];
    const float* slope = buffers->slope(layer);
    for (int row = 0; row < l.inputs; row += kernel_rows) {
      for (int first = 0; first < points; first += tile_points) {
        const int at = row * kernel_block + first;
        share_tile(l.transposed + row * l.outputs, l.outputs, buffers->values[0] + first,
                   slope + at, buffers->values[1] + at);
      }
    }
    buffers->swap();
  }
  return buffers->values[0];
}

inline float horizontal_sum(Vector x) {
  float sum = 0.0f;
  for (int i = 0; i < lanes; ++i) sum += x[i];
  return sum;
}

// One point's derivatives along one plane's width and height, texels. shares [channel_stride].
inline void plane_slopes(const KernelModel& m, const Corners& corners, int plane, int point,
                         const float* shares, float slopes[2]) {
  const int row_stride = (m.width + 2) * m.channel_stride;
  const float* texel = m.planes[plane] + corners.offset[plane][point];
  Vector dot[4] = {splat(0.0f), splat(0.0f), splat(0.0f), splat(0.0f)};
  for (int c = 0; c < m.channel_stride; c += lanes) {
    const Vector share = load(shares + c);
    dot[0] += share * load(texel + c);
    dot[1] += share * load(texel + m.channel_stride + c);
    dot[2] += share * load(texel + row_stride + c);
    dot[3] += share * load(texel + row_stride + m.channel_stride + c);
  }
  float corner[4];
  for (int k = 0; k < 4; ++k) corner[k] = horizontal_sum(dot[k]);
  const float row = corners.weight[plane][2][point] + corners.weight[plane][3][point];
  const float column = corners.weight[plane][1][point] + corners.weight[plane][3][point];
  slopes[0] = (corner[1] - corner[0]) * (1.0f - row) + (corner[3] - corner[2]) * row;
  slopes[1] = (corner[2] - corner[0]) * (1.0f - column) + (corner[3] - corner[1]) * column;
}

inline void point_gradient(const KernelModel& m, const Corners& corners, int point,
                           const float* shares, float gradient[3]) {
  for (int axis = 0; axis < 3; ++axis) gradient[axis] = 0.0f;
  for (int plane = 0; plane < 3; ++plane) {
    float slopes[2];
    plane_slopes(m, corners, plane, point, shares, slopes);
    gradient[m.axes[plane][0]] += slopes[0] * m.column_scale;
    gradient[m.axes[plane][1]] += slopes[1] * m.row_scale;
  }
}

// gradient [count, 3], raw density per native unit.
inline void write_gradient(const KernelModel& m, const Corners& corners, int points, int count,
                           Buffers buffers, float* gradient) {
  const float* shares = plane_shares(m, points, &buffers);
  float* stage = buffers.values[1];
  for (int first = 0; first < count; first += lanes) {
    for (int c = 0; c < m.channel_stride; c += lanes) {
      Vector rows[lanes];
      for (int i = 0; i < lanes; ++i) rows[i] = load(shares + (c + i) * kernel_block + first);
      transpose(rows);
      for (int i = 0; i < lanes; ++i) store(stage + i * m.channel_stride + c, rows[i]);
    }
    for (int i = 0; i < lanes && first + i < count; ++i) {
      point_gradient(m, corners, first + i, stage + i * m.channel_stride,
                     gradient + 3 * (first + i));
    }
  }
}

}  // namespace
}  // namespace lrm
