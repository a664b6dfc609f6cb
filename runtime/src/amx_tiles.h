// AMX tiles and the bfloat16 parts of float32 numbers, for translation units with AVX-512 and AMX.
#pragma once

#include <immintrin.h>

#include "simd.h"

namespace lrm {
namespace {

constexpr int tile_bytes = 1024, row_bytes = 64;

// Tiles are configured for the scope's thread: all eight are 16 rows of 64 bytes.
class TileScope {
 public:
  TileScope() {
    alignas(64) unsigned char configuration[64] = {1};  // palette 1
    for (int tile = 0; tile < 8; ++tile) {
      configuration[16 + 2 * tile] = 64;  // bytes in a row, 16 bits
      configuration[48 + tile] = 16;      // rows
    }
    // The compiler does not know that the instruction reads this.
    __asm__ volatile("" ::"r"(configuration) : "memory");
    _tile_loadconfig(configuration);
  }
  ~TileScope() { _tile_release(); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

typedef unsigned int BitVector __attribute__((vector_size(64), may_alias));

inline BitVector bits_of(Vector x) { return reinterpret_cast<BitVector>(x); }

// The upper halves of a's and b's lanes, as pairs.
inline __m512i upper_halves(BitVector a, BitVector b) {
  return _mm512_mask_blend_epi16(0xaaaaaaaau, reinterpret_cast<__m512i>(a >> 16),
                                 reinterpret_cast<__m512i>(b));
}

inline Vector upper_half(Vector x) { return reinterpret_cast<Vector>(bits_of(x) & 0xffff0000u); }

// a's and b's lanes as sums of three bfloat16, in pairs. Of infinity, whose rest is NaN, they are
// NaN; a part below 2^-126 counts as 0 in a product, so that numbers below 1e-33 lose digits.
inline void store_parts(Vector a, Vector b, unsigned short* high, unsigned short* middle,
                        unsigned short* low) {
  const Vector rest_a = a - upper_half(a), rest_b = b - upper_half(b);
  const Vector low_a = rest_a - upper_half(rest_a), low_b = rest_b - upper_half(rest_b);
  _mm512_store_si512(high, upper_halves(bits_of(a), bits_of(b)));
  _mm512_store_si512(middle, upper_halves(bits_of(rest_a), bits_of(rest_b)));
  _mm512_store_si512(low, upper_halves(bits_of(low_a), bits_of(low_b)));
}

// A product of 32 rows and 32 columns: tiles 0 to 3 add it up, in the order of reading; 4 and 5
// hold 16 rows each, 6 and 7 16 columns each, which follow each other in memory.
#define LRM_IN_LINE inline __attribute__((always_inline))

LRM_IN_LINE void load_row_tiles(const void* rows) {
  _tile_loadd(4, rows, row_bytes);
  _tile_loadd(5, static_cast<const char*>(rows) + tile_bytes, row_bytes);
}

LRM_IN_LINE void load_column_tiles(const void* columns) {
  _tile_loadd(6, columns, row_bytes);
  _tile_loadd(7, static_cast<const char*>(columns) + tile_bytes, row_bytes);
}

LRM_IN_LINE void add_products() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

// sums [32, 32], rows `stride` floats apart; 0: the same row for all.
LRM_IN_LINE void load_sum_tiles(const float* sums, long long stride) {
  _tile_loadd(0, sums, 4 * stride);
  _tile_loadd(1, sums + 16, 4 * stride);
  _tile_loadd(2, sums + 16 * stride, 4 * stride);
  _tile_loadd(3, sums + 16 * stride + 16, 4 * stride);
}

LRM_IN_LINE void store_sum_tiles(float* sums, long long stride) {
  _tile_stored(0, sums, 4 * stride);
  _tile_stored(1, sums + 16, 4 * stride);
  _tile_stored(2, sums + 16 * stride, 4 * stride);
  _tile_stored(3, sums + 16 * stride + 16, 4 * stride);
}

}  // namespace
}  // namespace lrm
