// Matrix products by AMX with the precision of float32.
//
// A float32 is the sum of three bfloat16 (8 bits each), high + middle + low, and of the nine
// products of two such sums the six larger ones are added up in float32; the others are below 2^-21
// of the whole. A network whose values cancel (activations of thousands, colours of one) shows any
// less: with two parts and three products, densities were up to 5e-5 of the largest off.
//
// Values lie point after point: sums [group_points, stride]. Two values of a point that a matrix
// instruction adds pairwise are channels j and 16 + j of a tile of 32, so that splitting two
// vectors of 16 channels gives vectors of such pairs without a shuffle.
//
// The tile unit works beside the vector units. multiply() therefore takes the vector work on
// another group of points along, and gives it a turn after each few matrix instructions: both are
// in flight together, within the window of out-of-order execution.
//
// Sources: Henry, Tang and Heinecke 2019, "Leveraging the bfloat16 Artificial Intelligence Datatype
// For Higher-Precision Computations" (arXiv 1904.06376); Intel 64 and IA-32 Architectures
// Optimization Reference Manual, chapter 20 (blocking for tiles).
#pragma once

#include "amx_tiles.h"
#include "decoder_kernel.h"

namespace lrm {
namespace {

// Points of a group: two tiles of 16 rows.
constexpr int group_points = 32;

// A group's values, split into high, middle and low parts: each
// [tiles of 32 channels, group_points, 16, 2].
struct SplitValues {
  unsigned short* part[3];
};

// Channels [0, 16) and [16, 32) of a tile at one point.
inline void store_parts(Vector a, Vector b, const SplitValues& to, int at) {
  const Vector rest_a = a - upper_half(a), rest_b = b - upper_half(b);
  const Vector low_a = rest_a - upper_half(rest_a), low_b = rest_b - upper_half(rest_b);
  _mm512_store_si512(to.part[0] + at, upper_halves(bits_of(a), bits_of(b)));
  _mm512_store_si512(to.part[1] + at, upper_halves(bits_of(rest_a), bits_of(rest_b)));
  _mm512_store_si512(to.part[2] + at, upper_halves(bits_of(low_a), bits_of(low_b)));
}

// each(point) for the points of a group, spread evenly over a number of turns.
template <class Each>
class Turns {
 public:
  Turns(int turns, const Each& each) : each_(each), turns_(turns) {}

  void take() {
    for (credit_ += group_points; credit_ >= turns_; credit_ -= turns_) each_(point_++);
  }

 private:
  const Each& each_;
  const int turns_;
  int credit_ = 0;
  int point_ = 0;
};

// Tiles 0 to 3 add up, 4 and 5 hold values of 16 points each, 6 and 7 weights of 16 outputs each.
#define LRM_LOAD_VALUES(from)        \
  _tile_loadd(4, (from), row_bytes); \
  _tile_loadd(5, (from) + 16 * tile_channels, row_bytes);
#define LRM_LOAD_WEIGHTS(from)       \
  _tile_loadd(6, (from), row_bytes); \
  _tile_loadd(7, (from) + tile_bytes, row_bytes);
#define LRM_ADD_PRODUCTS   \
  _tile_dpbf16ps(0, 4, 6); \
  _tile_dpbf16ps(1, 4, 7); \
  _tile_dpbf16ps(2, 5, 6); \
  _tile_dpbf16ps(3, 5, 7);

#define LRM_LOAD_BIAS                                                \
  /* The same for every point: a step of 0 bytes from row to row. */ \
  _tile_loadd(0, bias, 0);                                           \
  _tile_loadd(1, bias + 16, 0);                                      \
  _tile_loadd(2, bias, 0);                                           \
  _tile_loadd(3, bias + 16, 0);
#define LRM_STORE_SUMS                            \
  _tile_stored(0, sums, sum_bytes);               \
  _tile_stored(1, sums + 16, sum_bytes);          \
  _tile_stored(2, sums + 16 * stride, sum_bytes); \
  _tile_stored(3, sums + 16 * stride + 16, sum_bytes);

// sums [group_points, stride] = bias + values times the layer's weights; meanwhile each(point) for
// all points of a group whose values and sums are elsewhere.
template <class Each>
__attribute__((noinline)) void multiply_parts(const KernelTiles& layer, const float* bias,
                                              int bias_step, const SplitValues& values, float* sums,
                                              int stride, const Each& each) {
  __asm__ volatile("" ::: "memory");  // see TileScope
  Turns<Each> turns(6 * layer.input_tiles * layer.output_pairs, each);
  const long long sum_bytes = 4LL * stride;
  const char* weights = reinterpret_cast<const char*>(layer.weights);
  for (int pair = 0; pair < layer.output_pairs; ++pair) {
    LRM_LOAD_BIAS
    for (int k = 0; k < layer.input_tiles; ++k, weights += 6 * tile_bytes) {
      const int at = k * group_points * tile_channels;
      const unsigned short *high = values.part[0] + at, *middle = values.part[1] + at,
                           *low = values.part[2] + at;
      LRM_LOAD_VALUES(high)
      LRM_LOAD_WEIGHTS(weights)
      LRM_ADD_PRODUCTS
      turns.take();
      LRM_LOAD_WEIGHTS(weights + 2 * tile_bytes)
      LRM_ADD_PRODUCTS
      turns.take();
      LRM_LOAD_VALUES(middle)
      LRM_ADD_PRODUCTS
      turns.take();
      LRM_LOAD_WEIGHTS(weights + 4 * tile_bytes)
      LRM_ADD_PRODUCTS
      turns.take();
      LRM_LOAD_VALUES(low)
      LRM_ADD_PRODUCTS
      turns.take();
      LRM_LOAD_VALUES(high)
      LRM_ADD_PRODUCTS
      turns.take();
    }
    LRM_STORE_SUMS
    sums += tile_channels;
    bias += bias_step;
  }
}

}  // namespace
}  // namespace lrm
