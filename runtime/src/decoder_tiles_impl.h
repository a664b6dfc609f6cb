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

// sums [group_points, stride] = bias + values times the layer's weights; meanwhile each(point) for
// all points of a group whose values and sums are elsewhere.
template <class Each>
__attribute__((noinline)) void multiply_parts(const KernelTiles& layer, const float* bias,
                                              int bias_step, const SplitValues& values, float* sums,
                                              int stride, const Each& each) {
  __asm__ volatile("" ::: "memory");  // see TileScope
  Turns<Each> turns(6 * layer.input_tiles * layer.output_pairs, each);
  const char* weights = reinterpret_cast<const char*>(layer.weights);
  for (int pair = 0; pair < layer.output_pairs; ++pair) {
    load_sum_tiles(bias, 0);  // the same for every point
    for (int k = 0; k < layer.input_tiles; ++k, weights += 6 * tile_bytes) {
      const int at = k * group_points * tile_channels;
      const unsigned short *high = values.part[0] + at, *middle = values.part[1] + at,
                           *low = values.part[2] + at;
      load_row_tiles(high);
      load_column_tiles(weights);
      add_products();
      turns.take();
      load_column_tiles(weights + 2 * tile_bytes);
      add_products();
      turns.take();
      load_row_tiles(middle);
      add_products();
      turns.take();
      load_column_tiles(weights + 4 * tile_bytes);
      add_products();
      turns.take();
      load_row_tiles(low);
      add_products();
      turns.take();
      load_row_tiles(high);
      add_products();
      turns.take();
    }
    store_sum_tiles(sums, stride);
    sums += tile_channels;
    bias += bias_step;
  }
}

}  // namespace
}  // namespace lrm
