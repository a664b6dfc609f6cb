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

}  // namespace
}  // namespace lrm
