// Layers by AMX with the precision of one bfloat16: two digits, in less than half the time.
//
// Values are cut to their upper halves, which costs nothing and makes them smaller by 2^-8.47 on
// average (mantissas uniform in the logarithm); the weights, rounded, make up for it (see
// decoder_weights.cpp). The error is then that of rounded values.
#pragma once

#include "decoder_tiles_impl.h"

namespace lrm {
namespace {

// Straight lines for 1 / (1 + exp(-x)), line i mod 32 for the x nearest to i/2, by least squares:
// right to 8e-4, and 0 and 1 at -7.5 and 7.5.
alignas(64) constexpr float logistic_slope[32] = {
    0.2492214f, 0.2344028f, 0.1963902f, 0.1492429f, 0.1052354f, 0.0703573f, 0.0453826f, 0.0286007f,
    0.0177616f, 0.0109299f, 0.0066881f, 0.0040784f, 0.0024817f, 0.0015082f, 0.0009159f, 0.0039229f,
    0.0039229f, 0.0039229f, 0.0009159f, 0.0015082f, 0.0024817f, 0.0040784f, 0.0066881f, 0.0109299f,
    0.0177616f, 0.0286007f, 0.0453826f, 0.0703573f, 0.1052354f, 0.1492429f, 0.1963902f, 0.2344028f};
alignas(64) constexpr float logistic_intercept[32] = {
    0.5000000f, 0.5046612f, 0.5337250f, 0.5927249f, 0.6694931f, 0.7476281f, 0.8159993f, 0.8703053f,
    0.9107893f, 0.9397175f, 0.9597982f, 0.9734568f, 0.9826112f, 0.9886796f, 0.9926682f, 0.9705784f,
    0.0294216f, 0.0294216f, 0.0073318f, 0.0113204f, 0.0173888f, 0.0265432f, 0.0402018f, 0.0602825f,
    0.0892107f, 0.1296947f, 0.1840007f, 0.2523719f, 0.3305069f, 0.4072751f, 0.4662750f, 0.4953388f};

// x / (1 + exp(-x)) by those lines; a reciprocal alone would take as long.
struct RoughSilu {
  static Vector apply(Vector x) {
    constexpr int smaller_magnitude = 0x02;
    const Vector t = _mm512_maskz_range_ps(0xffff, x, splat(7.5f), smaller_magnitude);
    // The lowest bits of what rounds to an integer in float32 are that integer's.
    const __m512i line = reinterpret_cast<__m512i>(t * 2.0f + 12582912.0f);
    return x * (look_up(logistic_slope, line) * t + look_up(logistic_intercept, line));
  }

 private:
  static Vector look_up(const float* table, __m512i line) {
    return _mm512_permutex2var_ps(load(table), line, load(table + lanes));
  }
};

// Channels [0, 16) and [16, 32) of a tile at one point, cut.
inline void store_cut(Vector a, Vector b, const SplitValues& to, int at) {
  _mm512_store_si512(to.part[0] + at, upper_halves(bits_of(a), bits_of(b)));
}

// As multiply_parts, with cut values and rounded weights.
template <class Each>
__attribute__((noinline)) void multiply_rounded(const KernelLayer& layer, const SplitValues& values,
                                                float* sums, int stride, const Each& each) {
  __asm__ volatile("" ::: "memory");  // see TileScope
  const KernelTiles& tiles = layer.tiles;
  Turns<Each> turns(tiles.input_tiles * tiles.output_pairs, each);
  const float* bias = layer.bias;
  const char* weights = reinterpret_cast<const char*>(layer.rounded);
  for (int pair = 0; pair < tiles.output_pairs; ++pair) {
    load_sum_tiles(bias, 0);  // the same for every point
    for (int k = 0; k < tiles.input_tiles; ++k, weights += 2 * tile_bytes) {
      load_row_tiles(values.part[0] + k * group_points * tile_channels);
      load_column_tiles(weights);
      add_products();
      turns.take();
    }
    store_sum_tiles(sums, stride);
    sums += tile_channels;
    bias += tile_channels;
  }
}

}  // namespace
}  // namespace lrm
