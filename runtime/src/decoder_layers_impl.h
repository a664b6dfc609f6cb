// Points -> values of the layers: the first three steps of decoder_kernel_impl.h, which says how
// values lie.
#pragma once

#include "decoder_kernel.h"
#include "field_semantics.h"
#include "lrm.h"
#include "simd.h"

namespace lrm {
namespace {

// Points decoded at a time. Otherwise than by matrix instructions: a multiple of three vectors of
// every width (4, 8 and 16 lanes), and small enough that two layers of 64 values (24 KiB) stay in a
// 32 KiB level 1 cache.
#if defined(LRM_BLOCK)
constexpr int kernel_block = LRM_BLOCK;
#else
constexpr int kernel_block = 48;
#endif

constexpr int tile_vectors = 3;
constexpr int tile_points = tile_vectors * lanes;
static_assert(lanes <= kernel_max_lanes, "planes are padded for this width");

struct VectorMath {
  using Real = Vector;
  static Real constant(float x) { return splat(x); }
  static Real min(Real a, Real b) { return minimum(a, b); }
  static Real max(Real a, Real b) { return maximum(a, b); }
  static Real exp(Real x) { return quick_exponential(x); }
  static Real log1p(Real x) { return log1p_each(x); }
};

// -- locate ---------------------------------------------------------------------------------------

struct Corners {
  alignas(64) int offset[3][kernel_block];  // floats to texel (row, column) in its plane
  alignas(64) float weight[3][4][kernel_block];
};

inline void split_axes(const float* xyz, int count, float axis[3][kernel_block]) {
  for (int i = 0; i < kernel_block; ++i) {
    const int point = i < count ? i : 0;
    for (int a = 0; a < 3; ++a) axis[a][i] = xyz[3 * point + a];
  }
}

inline void locate(const KernelModel& m, const float* xyz, int count, Corners* corners) {
  alignas(64) float axis[3][kernel_block];
  split_axes(xyz, count, axis);
  const int row_stride = (m.width + 2) * m.channel_stride;
  for (int plane = 0; plane < 3; ++plane) {
    const float* along_width = axis[m.axes[plane][0]];
    const float* along_height = axis[m.axes[plane][1]];
    for (int i = 0; i < kernel_block; i += lanes) {
      const Vector column = clamp_texel<VectorMath>(
          load(along_width + i) * m.column_scale + m.column_offset, m.width);
      const Vector row =
          clamp_texel<VectorMath>(load(along_height + i) * m.row_scale + m.row_offset, m.height);
      Vector column_part, row_part;
      const IntVector c = base_texel(column, m.width, &column_part);
      const IntVector r = base_texel(row, m.height, &row_part);
      // The border shifts texel (-1, -1) to storage position (0, 0).
      store(corners->offset[plane] + i, (r + 1) * row_stride + (c + 1) * m.channel_stride);
      Vector weights[4];
      bilinear_weights<VectorMath>(row_part, column_part, weights);
      for (int k = 0; k < 4; ++k) store(corners->weight[plane][k] + i, weights[k]);
    }
  }
}

// -- activations ----------------------------------------------------------------------------------

struct Identity {
  static Vector apply(Vector x) { return x; }
  static Vector slope(Vector) { return splat(1.0f); }
};
struct Relu {
  static Vector apply(Vector x) { return relu<VectorMath>(x); }
  static Vector slope(Vector x) { return positive(x); }
};
struct Silu {
  static Vector apply(Vector x) { return x * logistic(x); }
  static Vector slope(Vector x) {
    const Vector s = logistic(x);
    return s * (1.0f + x * (1.0f - s));
  }
};

// -- gather ---------------------------------------------------------------------------------------

inline Vector interpolate(const float* texel, int row_stride, int channel_stride,
                          const Vector weight[4]) {
  Vector sum = load(texel) * weight[0];
  sum += load(texel + channel_stride) * weight[1];
  sum += load(texel + row_stride) * weight[2];
  sum += load(texel + row_stride + channel_stride) * weight[3];
  return sum;
}

// One point's sums over the planes and the bias, written to consecutive floats.
inline void gather_point(const KernelModel& m, const Corners& corners, int point, float* sums) {
  const int row_stride = (m.width + 2) * m.channel_stride;
  const float* texel[3];
  Vector weight[3][4];
  for (int plane = 0; plane < 3; ++plane) {
    texel[plane] = m.planes[plane] + corners.offset[plane][point];
    for (int k = 0; k < 4; ++k) weight[plane][k] = splat(corners.weight[plane][k][point]);
  }
  for (int c = 0; c < m.channel_stride; c += lanes) {
    Vector sum = load(m.first_bias + c);
    sum += interpolate(texel[0] + c, row_stride, m.channel_stride, weight[0]);
    sum += interpolate(texel[1] + c, row_stride, m.channel_stride, weight[1]);
    sum += interpolate(texel[2] + c, row_stride, m.channel_stride, weight[2]);
    store(sums + c, sum);
  }
}

// The first layer's values at `lanes` points, as rows of `output`. `stage` holds lanes x stride
// floats. kSlope: the activation's derivatives too.
template <class Activation, bool kSlope>
void gather_group(const KernelModel& m, const Corners& corners, int first, float* stage,
                  float* output, float* slope) {
  for (int i = 0; i < lanes; ++i) {
    gather_point(m, corners, first + i, stage + i * m.channel_stride);
  }
  for (int c = 0; c < m.channel_stride; c += lanes) {
    Vector rows[lanes];
    for (int i = 0; i < lanes; ++i) rows[i] = load(stage + i * m.channel_stride + c);
    transpose(rows);
    for (int i = 0; i < lanes; ++i) {
      const int at = (c + i) * kernel_block + first;
      store(output + at, Activation::apply(rows[i]));
      if (kSlope) store(slope + at, Activation::slope(rows[i]));
    }
  }
}

// -- layers ---------------------------------------------------------------------------------------

// Sums of kRows outputs for tile_points points.
template <int kRows>
inline void multiply(const float* panel, int inputs, const float* input,
                     Vector sum[kRows][tile_vectors]) {
  for (int k = 0; k < inputs; ++k) {
    const float* x = input + k * kernel_block;
    for (int r = 0; r < kRows; ++r) {
      const Vector weight = splat(panel[k * kRows + r]);
      for (int v = 0; v < tile_vectors; ++v) sum[r][v] += weight * load(x + v * lanes);
    }
  }
}

// kRows outputs of a layer for tile_points points. Not inlined: in the caller's loops the compiler
// would keep the activation's constants in the registers that the sums need.
template <class Activation, int kRows, bool kSlope>
__attribute__((noinline)) void layer_tile(const float* panel, const float* bias, int inputs,
                                          const float* input, float* output, float* slope) {
  Vector sum[kRows][tile_vectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < tile_vectors; ++v) sum[r][v] = splat(bias[r]);
  }
  multiply<kRows>(panel, inputs, input, sum);
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < tile_vectors; ++v) {
      const int at = r * kernel_block + v * lanes;
      store(output + at, Activation::apply(sum[r][v]));
      if (kSlope) store(slope + at, Activation::slope(sum[r][v]));
    }
  }
}

template <class Activation, bool kSlope>
void run_layer(const KernelLayer& layer, int points, const float* input, float* output,
               float* slope) {
  for (int row = 0; row < layer.outputs; row += kernel_rows) {
    for (int first = 0; first < points; first += tile_points) {
      const int at = row * kernel_block + first;
      layer_tile<Activation, kernel_rows, kSlope>(layer.panels + row * layer.inputs,
                                                  layer.bias + row, layer.inputs, input + first,
                                                  output + at, kSlope ? slope + at : nullptr);
    }
  }
}

// Where a call keeps its values. `slopes` is used only for gradients: one block of slope_rows rows
// for each activated layer, the first included.
struct Buffers {
  Buffers(const KernelModel& m, float* scratch)
      : values{scratch, scratch + m.widest * kernel_block},
        slopes(scratch + 2 * m.widest * kernel_block),
        slope_floats(m.widest * kernel_block) {}

  float* slope(int layer) const { return slopes + layer * slope_floats; }
  void swap() {
    float* first = values[0];
    values[0] = values[1];
    values[1] = first;
  }

  float* values[2];
  float* slopes;
  int slope_floats;
};

inline long long buffer_floats(const KernelModel& m, bool gradient) {
  const long long rows = 2 + (gradient ? m.layer_count + 1 : 0);
  return rows * m.widest * kernel_block;
}

// The layers with an activation. Their last values are in buffers->values[0].
template <class Activation, bool kSlope>
void run_hidden(const KernelModel& m, const Corners& corners, int points, Buffers* buffers) {
  // The second buffer is free until the second layer: it holds the staged channels.
  for (int i = 0; i < points; i += lanes) {
    gather_group<Activation, kSlope>(m, corners, i, buffers->values[1], buffers->values[0],
                                     buffers->slope(0));
  }
  for (int i = 0; i + 1 < m.layer_count; ++i) {
    run_layer<Activation, kSlope>(m.layers[i], points, buffers->values[0], buffers->values[1],
                                  buffers->slope(i + 1));
    buffers->swap();
  }
}

// The last layer, without activation: four rows, or the density row alone.
inline void run_last(const KernelModel& m, int points, bool density_only, Buffers* buffers) {
  if (m.layer_count == 0) return;  // the planes hold its values
  const KernelLayer& last = m.layers[m.layer_count - 1];
  if (!density_only) {
    run_layer<Identity, false>(last, points, buffers->values[0], buffers->values[1], nullptr);
  } else {
    for (int first = 0; first < points; first += tile_points) {
      layer_tile<Identity, 1, false>(m.density_row, last.bias, last.inputs,
                                     buffers->values[0] + first, buffers->values[1] + first,
                                     nullptr);
    }
  }
  buffers->swap();
}

}  // namespace
}  // namespace lrm
