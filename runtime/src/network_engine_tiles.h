// Small matrix products by AMX tiles, as network_engine_vector.h by vectors.
//
// A float32 is kParts bfloat16: three for the precision of float32 (six products, see
// decoder_tiles_impl.h), one, rounded, for that of bfloat16. Inputs j and 16 + j of a tile of 32
// are neighbours in all packed arrays, because the instructions add products pairwise: splitting
// two vectors of 16 then needs no shuffle.
//
// Packed rows are [tiles of 32 inputs, kParts, 2, 16, 16, 2]; packed columns likewise, with 16
// columns where those have 16 inputs.
#pragma once

#include "amx_tiles.h"
#include "network_engine_vector.h"

namespace lrm {
namespace {

// To the nearest bfloat16. A half rounds away from 0, and beyond the largest number is infinity.
inline __m512i rounded_halves(Vector a, Vector b) {
  return upper_halves(bits_of(a) + 0x8000u, bits_of(b) + 0x8000u);
}

// Inputs [0, 16) and [16, 32) of a tile, as kParts rows of pairs that lie `step` elements apart.
template <int kParts>
inline void store_pairs(Vector a, Vector b, unsigned short* to, int step) {
  if constexpr (kParts == 1) {
    _mm512_store_si512(to, rounded_halves(a, b));
  } else {
    static_assert(kParts == 3, "one part or three");
    store_parts(a, b, to, to + step, to + 2 * step);
  }
}

inline Vector load_masked(const float* p, int count) {
  const int used = count < 0 ? 0 : count > 16 ? 16 : count;
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << used) - 1u), p);
}
inline Vector load_masked(const unsigned short* p, int count) {
  const int used = count < 0 ? 0 : count > 16 ? 16 : count;
  const auto mask = static_cast<__mmask16>((1u << used) - 1u);
  const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi16(mask, p));
  return reinterpret_cast<Vector>(_mm512_maskz_slli_epi32(0xffff, wide, 16));
}

template <int kParts>
struct TileEngine {
  using Element = unsigned short;
  static constexpr int rows = 32, columns = 32;
  static constexpr int part_size = rows * tile_inputs;  // two tiles
  static constexpr int rows_size = kParts * part_size, columns_size = kParts * part_size;
  static constexpr int deep = kParts == 1 ? 8 : 4;  // 16 or 24 KiB of a block's rows: level 1 cache

  using Scope = TileScope;

  static void pack_rows(const float* x, long long stride, int count, int inputs, Element* to) {
    for (int k = 0; k < inputs; k += tile_inputs, to += rows_size) {
      for (int r = 0; r < rows; ++r) {
        const float* from = x + r * stride + k;
        const int left = r < count ? inputs - k : 0;
        store_pairs<kParts>(load_masked(from, left), load_masked(from + 16, left - 16),
                            to + r * tile_inputs, part_size);
      }
    }
  }

  template <class Weight>
  static void pack_columns(const Weight* w, long long stride, int count, int inputs, Element* to) {
    for (int k = 0; k < inputs; k += tile_inputs, to += columns_size) {
      for (int c = 0; c < columns; c += 16) {
        pack_tile(w + c * stride + k, stride, count - c, inputs - k, to + c * tile_inputs);
      }
    }
  }

  static void pack_values(const float* v, long long stride, int inputs, int count, Element* to) {
    for (int k = 0; k < inputs; k += tile_inputs, to += columns_size) {
      for (int c = 0; c < columns; c += 16) {
        for (int r = 0; r < 16; ++r) {
          const float* from = v + (k + r) * stride + c;
          const int left = k + r < inputs ? count - c : 0,
                    below = k + 16 + r < inputs ? count - c : 0;
          store_pairs<kParts>(load_masked(from, left), load_masked(from + 16 * stride, below),
                              to + c * tile_inputs + r * tile_inputs, part_size);
        }
      }
    }
  }

  static void multiply(const Element* a, const Element* b, int tiles, float* sums, bool add) {
    __asm__ volatile("" ::: "memory");  // see TileScope
    if (add) {
      load_sum_tiles(sums, columns);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    for (int t = 0; t < tiles; ++t, a += rows_size, b += columns_size) multiply_tile(a, b);
    store_sum_tiles(sums, columns);
    __asm__ volatile("" ::: "memory");
  }

  static void store_tile_row(const float* x, int row, Element* tile) {
    store_pairs<kParts>(load(x), load(x + 16), tile + row * tile_inputs, part_size);
  }

 private:
  template <class Weight>
  static void pack_tile(const Weight* w, long long stride, int outputs, int inputs, Element* to) {
    alignas(64) Element pairs[16 * kParts * tile_inputs];
    for (int i = 0; i < 16; ++i) {
      const int left = i < outputs ? inputs : 0;
      store_pairs<kParts>(load_masked(w + i * stride, left),
                          load_masked(w + i * stride + 16, left - 16), pairs + i * tile_inputs,
                          16 * tile_inputs);
    }
    for (int part = 0; part < kParts; ++part) {
      const float* from = reinterpret_cast<const float*>(pairs + part * 16 * tile_inputs);
      Vector square[16];
      for (int i = 0; i < 16; ++i) square[i] = load(from + i * 16);
      transpose(square);
      float* tile = reinterpret_cast<float*>(to + part * part_size);
      for (int i = 0; i < 16; ++i) store(tile + i * 16, square[i]);
    }
  }

  // One product, or the larger six of nine, in an order that loads little.
  static void multiply_tile(const Element* left, const Element* right) {
    load_row_tiles(left);
    if constexpr (kParts == 1) {
      load_column_tiles(right);
      add_products();
    } else {
      load_column_tiles(right + 2 * part_size);
      add_products();
      load_column_tiles(right + part_size);
      add_products();
      load_row_tiles(left + part_size);
      add_products();
      load_column_tiles(right);
      add_products();
      load_row_tiles(left + 2 * part_size);
      add_products();
      load_row_tiles(left);
      add_products();
    }
  }
};

}  // namespace
}  // namespace lrm
