// The point decoder: a block of points -> features -> MLP -> density and colour.
//
//   locate    four corner offsets and bilinear weights per plane and point   lanes = points
//   gather    features of each point, then transposed                        lanes = channels
//   layers    small matrix products with the activation in their epilogue    lanes = points
//   finish    density and colour activations                                 lanes = points
//
// Features and layer values lie feature after feature, [rows, kernel_block], so that a weight is
// broadcast and points fill the lanes; weights lie in panels in the order they are read (the
// register blocking of Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix
// Multiplication"). Cost per point: the MLP's multiply-adds, 12 C for the planes, one exp and one
// division per SiLU.
//
// Included once per instruction set by decoder_kernel_*.cpp, which set LRM_LANES, LRM_KERNEL and
// LRM_KERNEL_NAME. Everything but the kernel itself has internal linkage.
#include "decoder_kernel.h"
#include "field_semantics.h"
#include "lrm.h"
#include "simd.h"

namespace lrm {
namespace {

constexpr int tile_vectors = 3;
constexpr int tile_points = tile_vectors * lanes;
static_assert(kernel_block % tile_points == 0, "a block is whole tiles");
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

// -- gather ---------------------------------------------------------------------------------------

inline Vector interpolate(const float* texel, int row_stride, int channel_stride,
                          const Vector weight[4]) {
  Vector sum = load(texel) * weight[0];
  sum += load(texel + channel_stride) * weight[1];
  sum += load(texel + row_stride) * weight[2];
  sum += load(texel + row_stride + channel_stride) * weight[3];
  return sum;
}

// One point's channels of one plane, written (or added) to consecutive floats.
template <bool kAdd>
inline void gather_point(const KernelModel& m, const Corners& corners, int plane, int point,
                         float* features) {
  const int row_stride = (m.width + 2) * m.channel_stride;
  const float* texel = m.planes[plane] + corners.offset[plane][point];
  Vector weight[4];
  for (int k = 0; k < 4; ++k) weight[k] = splat(corners.weight[plane][k][point]);
  for (int c = 0; c < m.channels; c += lanes) {
    Vector value = interpolate(texel + c, row_stride, m.channel_stride, weight);
    if (kAdd) value += load(features + c);
    store(features + c, value);
  }
}

// Features of `lanes` points, transposed into rows of `output`. `stage` holds lanes x padded
// channels. Rows past the last channel are padding that the next plane overwrites.
inline void gather_group(const KernelModel& m, const Corners& corners, int first, float* stage,
                         float* output) {
  const int planes_apart = m.concat ? 3 : 1;
  for (int part = 0; part < planes_apart; ++part) {
    for (int i = 0; i < lanes; ++i) {
      float* features = stage + i * m.channel_stride;
      gather_point<false>(m, corners, part, first + i, features);
      for (int plane = 1; !m.concat && plane < 3; ++plane) {
        gather_point<true>(m, corners, plane, first + i, features);
      }
    }
    for (int c = 0; c < m.channels; c += lanes) {
      Vector rows[lanes];
      for (int i = 0; i < lanes; ++i) rows[i] = load(stage + i * m.channel_stride + c);
      transpose(rows);
      float* target = output + (part * m.channels + c) * kernel_block + first;
      for (int i = 0; i < lanes; ++i) store(target + i * kernel_block, rows[i]);
    }
  }
}

// -- layers ---------------------------------------------------------------------------------------

struct Identity {
  static Vector apply(Vector x) { return x; }
};
struct Relu {
  static Vector apply(Vector x) { return relu<VectorMath>(x); }
};
struct Silu {
  static Vector apply(Vector x) { return silu<VectorMath>(x); }
};

// kRows outputs of a layer for tile_points points. Not inlined: in the caller's loops the compiler
// would keep the activation's constants in the registers that the sums need.
template <class Activation, int kRows>
__attribute__((noinline)) void multiply_tile(const float* panel, const float* bias, int inputs,
                                             const float* input, float* output) {
  Vector sum[kRows][tile_vectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < tile_vectors; ++v) sum[r][v] = splat(bias[r]);
  }
  for (int k = 0; k < inputs; ++k) {
    const float* x = input + k * kernel_block;
    for (int r = 0; r < kRows; ++r) {
      const Vector weight = splat(panel[k * kRows + r]);
      for (int v = 0; v < tile_vectors; ++v) sum[r][v] += weight * load(x + v * lanes);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < tile_vectors; ++v) {
      store(output + r * kernel_block + v * lanes, Activation::apply(sum[r][v]));
    }
  }
}

template <class Activation>
void run_layer(const KernelLayer& layer, int points, const float* input, float* output) {
  for (int row = 0; row < layer.outputs; row += kernel_rows) {
    for (int first = 0; first < points; first += tile_points) {
      multiply_tile<Activation, kernel_rows>(layer.panels + row * layer.inputs, layer.bias + row,
                                             layer.inputs, input + first,
                                             output + row * kernel_block + first);
    }
  }
}

// Returns the buffer with the raw outputs: four rows, or the density row alone.
inline const float* run_layers(const KernelModel& m, int points, bool density_only, float* input,
                               float* output) {
  const int last = m.layer_count - 1;
  for (int i = 0; i < last; ++i) {
    if (m.silu) {
      run_layer<Silu>(m.layers[i], points, input, output);
    } else {
      run_layer<Relu>(m.layers[i], points, input, output);
    }
    float* swap = input;
    input = output;
    output = swap;
  }
  if (!density_only) {
    run_layer<Identity>(m.layers[last], points, input, output);
    return output;
  }
  for (int first = 0; first < points; first += tile_points) {
    multiply_tile<Identity, 1>(m.density_row, m.layers[last].bias, m.layers[last].inputs,
                               input + first, output + first);
  }
  return output;
}

// -- finish ---------------------------------------------------------------------------------------

inline Vector density_value(const KernelModel& m, Vector raw) {
  const Vector x = raw + m.density_bias;
  if (m.density_activation == LRM_DENSITY_EXP) return exponential(x);
  if (m.density_activation == LRM_DENSITY_RELU) return relu<VectorMath>(x);
  return softplus<VectorMath>(x);
}

inline void write_density(const KernelModel& m, const float* raw, int count, bool activate,
                          float* density) {
  alignas(64) float row[kernel_block];
  for (int i = 0; i < count; i += lanes) {
    const Vector x = load(raw + i);
    store(row + i, activate ? density_value(m, x) : x);
  }
  for (int i = 0; i < count; ++i) density[i] = row[i];
}

inline void write_color(const KernelModel& m, const float* raw, int count, float* rgb) {
  alignas(64) float row[kernel_block];
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < count; i += lanes) {
      store(row + i,
            color_value<VectorMath>(load(raw + (c + 1) * kernel_block + i), m.color_widen));
    }
    for (int i = 0; i < count; ++i) rgb[3 * i + c] = row[i];
  }
}

void decode(const KernelModel& m, const float* xyz, int count, Output output, float* density,
            float* rgb, float* scratch) {
  float* input = scratch;
  float* other = scratch + m.buffer_rows * kernel_block;
  const int points = (count + tile_points - 1) / tile_points * tile_points;
  Corners corners;
  locate(m, xyz, count, &corners);
  // The second buffer is free until the first layer: it holds the staged channels.
  for (int i = 0; i < points; i += lanes) gather_group(m, corners, i, other, input);
  const bool with_color = output == Output::kDensityAndColor;
  const float* raw = run_layers(m, points, !with_color, input, other);
  write_density(m, raw, count, output != Output::kRawDensity, density);
  if (with_color) write_color(m, raw, count, rgb);
}

}  // namespace

const Kernel LRM_KERNEL = {LRM_KERNEL_NAME, decode};

}  // namespace lrm
