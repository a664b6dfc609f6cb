// The point decoder on tensor cores: a warp decodes the 32 points of its lanes together, as two
// tiles of 16 points by LRM_HIDDEN numbers whose activations stay in registers from layer to layer.
//
// Planes and weights are in LRM_PRECISION, sums and what activations are computed from in float32.
// Their layout is that of the fragments (tensor_core.cuh), so that a lane reads 16 bytes at once:
//
//   planes  [3, H + 2, W + 2, LRM_HIDDEN]: numbers 32 p + 16 k + 2 m + 8 h + e of a texel, p, m, k,
//   h, e
//           from the slowest: what the four lanes of a group read, member m after member
//   layers  for every hidden layer its B fragments [hidden / 8 outputs, hidden / 32, 32 lanes, 4
//           registers] and its bias [hidden] float32; then the last layer, whose four outputs are
//           padded to 8: [hidden / 32, 32, 4] and [8] float32
#pragma once

#include "decoder.cuh"
#include "tensor_core.cuh"

namespace lrm {

static_assert(linear || hidden % 32 == 0, "two fragments are read at once");

constexpr int row_tiles = 2;              // of 16 points
constexpr int depth_tiles = hidden / 16;  // of a layer's inputs
constexpr int column_tiles = hidden / 8;  // of a layer's outputs
constexpr int depth_pairs = hidden / 32;  // as they are read
constexpr int slots = 2 * row_tiles;      // points whose numbers a lane holds a fourth of

constexpr int fragment_words = depth_pairs * warp_lanes * 4;  // of 8 outputs
constexpr int tensor_layer_words = column_tiles * fragment_words + hidden;

// A fragments of a layer's inputs.
struct Activations {
  unsigned pair[row_tiles][depth_tiles][4];
};

__device__ inline uint4 load_words(const unsigned* p) {
#if defined(__CUDA_ARCH__)
  return __ldg(reinterpret_cast<const uint4*>(p));
#else
  return *reinterpret_cast<const uint4*>(p);
#endif
}

// -- Planes -> the first layer's activations ------------------------------------------------------

__device__ inline Location location_of_lane(const Location& mine, int lane) {
  Location at;
  LRM_UNROLL
  for (int plane = 0; plane < 3; ++plane) {
    at.offset[plane] = __shfl_sync(whole_warp, mine.offset[plane], lane);
    at.row[plane] = __shfl_sync(whole_warp, mine.row[plane], lane);
    at.column[plane] = __shfl_sync(whole_warp, mine.column[plane], lane);
  }
  return at;
}

__device__ inline void add_words(float sums[8], uint4 words, float weight) {
  const unsigned parts[4] = {words.x, words.y, words.z, words.w};
  LRM_UNROLL
  for (int i = 0; i < 4; ++i) {
    const float2 pair = unpack(parts[i]);
    sums[2 * i] += pair.x * weight;
    sums[2 * i + 1] += pair.y * weight;
  }
}

// The sums of one point that this lane holds in depth tiles 2 pair and 2 pair + 1.
__device__ inline void gather_pair(const unsigned short* planes, const Location& at,
                                   const float weights[3][4], int pair, float sums[8]) {
  const int corners[4] = {0, hidden, row_stride, row_stride + hidden};
  LRM_UNROLL
  for (int i = 0; i < 8; ++i) sums[i] = 0.0f;
  LRM_UNROLL
  for (int plane = 0; plane < 3; ++plane) {
    const unsigned short* texel = planes + at.offset[plane] + 32 * pair + 8 * (lane_index() % 4);
    LRM_UNROLL
    for (int k = 0; k < 4; ++k) {
      const auto* words = reinterpret_cast<const unsigned*>(texel + corners[k]);
      add_words(sums, load_words(words), weights[plane][k]);
    }
  }
}

__device__ inline void gather_activations(const unsigned short* planes, const Location& mine,
                                          Activations* x) {
  LRM_UNROLL
  for (int slot = 0; slot < slots; ++slot) {
    const Location at = location_of_lane(mine, 8 * slot + lane_index() / 4);
    float weights[3][4];
    LRM_UNROLL
    for (int plane = 0; plane < 3; ++plane) {
      bilinear_weights<ExactMath>(at.row[plane], at.column[plane], weights[plane]);
    }
    LRM_UNROLL
    for (int pair = 0; pair < depth_pairs; ++pair) {
      float sums[8];
      gather_pair(planes, at, weights, pair, sums);
      LRM_UNROLL
      for (int i = 0; i < 4; ++i) {
        x->pair[slot / 2][2 * pair + i / 2][slot % 2 + 2 * (i % 2)] =
            pack(rounded_activation(sums[2 * i]), rounded_activation(sums[2 * i + 1]));
      }
    }
  }
}

// -- Layers ---------------------------------------------------------------------------------------

// Eight outputs of all points: fragments [depth_pairs, 32, 4], bias [8].
__device__ inline void multiply_columns(const unsigned* fragments, const float* bias,
                                        const Activations& x, float sums[row_tiles][4]) {
  const int lane = lane_index();
  const float low = bias[2 * (lane % 4)], high = bias[2 * (lane % 4) + 1];
  LRM_UNROLL
  for (int tile = 0; tile < row_tiles; ++tile) {
    sums[tile][0] = sums[tile][2] = low;
    sums[tile][1] = sums[tile][3] = high;
  }
  LRM_UNROLL
  for (int pair = 0; pair < depth_pairs; ++pair) {
    const uint4 b = load_words(fragments + (pair * warp_lanes + lane) * 4);
    LRM_UNROLL
    for (int tile = 0; tile < row_tiles; ++tile) {
      multiply_add(sums[tile], x.pair[tile][2 * pair], b.x, b.y);
      multiply_add(sums[tile], x.pair[tile][2 * pair + 1], b.z, b.w);
    }
  }
}

__device__ inline void hidden_layer(const unsigned* layer, Activations* x) {
  const float* bias = reinterpret_cast<const float*>(layer + column_tiles * fragment_words);
  Activations y;
  LRM_UNROLL
  for (int column = 0; column < column_tiles; ++column) {
    float sums[row_tiles][4];
    multiply_columns(layer + column * fragment_words, bias + 8 * column, *x, sums);
    LRM_UNROLL
    for (int tile = 0; tile < row_tiles; ++tile) {
      LRM_UNROLL
      for (int half = 0; half < 2; ++half) {
        y.pair[tile][column / 2][2 * (column % 2) + half] = pack(
            rounded_activation(sums[tile][2 * half]), rounded_activation(sums[tile][2 * half + 1]));
      }
    }
  }
  *x = y;
}

// Density and colour of this lane's point: of the eight columns a group's first two members hold
// four.
__device__ inline Raw own_point(const float sums[row_tiles][4]) {
  const int lane = lane_index(), first = lane % 8 * 4;
  Raw raw{};
  LRM_UNROLL
  for (int slot = 0; slot < slots; ++slot) {
    const float low = sums[slot / 2][2 * (slot % 2)], high = sums[slot / 2][2 * (slot % 2) + 1];
    const float density = __shfl_sync(whole_warp, low, first);
    const float red = __shfl_sync(whole_warp, high, first);
    const float green = __shfl_sync(whole_warp, low, first + 1);
    const float blue = __shfl_sync(whole_warp, high, first + 1);
    if (slot == lane / 8) raw = {density, {red, green, blue}};
  }
  return raw;
}

// All lanes of a warp call it; what xyz is of lanes without a point does not matter.
__device__ inline Raw decode_warp(const unsigned short* planes, const unsigned* layers,
                                  const float xyz[3]) {
  Activations x;
  gather_activations(planes, locate(xyz), &x);
  LRM_ROLLED
  for (int layer = 0; layer < hidden_layers; ++layer) {
    hidden_layer(layers + layer * tensor_layer_words, &x);
  }
  const unsigned* last = layers + hidden_layers * tensor_layer_words;
  float sums[row_tiles][4];
  multiply_columns(last, reinterpret_cast<const float*>(last + fragment_words), x, sums);
  return own_point(sums);
}

}  // namespace lrm
