// Small matrix products by vector instructions, for the drivers in network_linear_impl.h and
// network_attention_impl.h: blocks of rows times panels of columns, both packed.
//
// Packed rows are [tiles of 32 inputs, rows, 32]; packed columns [tiles of 32 inputs, 32, columns].
// Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication".
#pragma once

#include "network_blocks_impl.h"
#include "simd.h"

namespace lrm {
namespace {

// Accumulators are rows x 2 vectors; with two of columns and one of a row's value they fill the
// registers: 32 with AVX-512, else 16.
#if LRM_LANES == 16
constexpr int vector_rows = 12;
#else
constexpr int vector_rows = 6;
#endif

inline Vector widen(const unsigned short* p) {
  IntVector bits;
  for (int i = 0; i < lanes; ++i) bits[i] = static_cast<int>(static_cast<unsigned>(p[i]) << 16);
  return reinterpret_cast<Vector>(bits);
}
inline Vector widen(const float* p) { return load_unaligned(p); }
inline float widen_one(unsigned short x) {
  const unsigned bits = static_cast<unsigned>(x) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
inline float widen_one(float x) { return x; }

struct VectorEngine {
  using Element = float;
  static constexpr int rows = vector_rows, columns = 2 * lanes;
  static constexpr int rows_size = rows * tile_inputs, columns_size = tile_inputs * columns;
  static constexpr int deep = 256 / tile_inputs;  // tiles whose columns stay in the level 1 cache

  struct Scope {  // nothing to set up
    Scope() {}
  };

  // x [count, inputs], count <= rows; what is missing is 0.
  static void pack_rows(const float* x, long long stride, int count, int inputs, float* to) {
    for (int k = 0; k < inputs; k += tile_inputs, to += rows_size) {
      for (int r = 0; r < rows; ++r) {
        copy_tile(x + r * stride + k, r < count ? inputs - k : 0, to + r * tile_inputs);
      }
    }
  }

  // Of a matrix [count, inputs], count <= columns, its transpose.
  template <class Weight>
  static void pack_columns(const Weight* w, long long stride, int count, int inputs, float* to) {
    for (int k = 0; k < inputs; k += tile_inputs, to += columns_size) {
      for (int c = 0; c < columns; c += lanes) {
        for (int i = 0; i < tile_inputs; i += lanes) {
          const Weight* from = w + c * stride + k + i;
          pack_square(from, stride, count - c, inputs - k - i, to + i * columns + c);
        }
      }
    }
  }

  // Of a matrix [inputs, count], count <= columns.
  static void pack_values(const float* v, long long stride, int inputs, int count, float* to) {
    for (int k = 0; k < round_tiles(inputs); ++k, to += columns) {
      for (int c = 0; c < columns; ++c) {
        to[c] = k < inputs && c < count ? v[k * stride + c] : 0.0f;
      }
    }
  }

  // sums [rows, columns] (+)= rows times columns over `tiles` tiles.
  static void multiply(const float* a, const float* b, int tiles, float* sums, bool add) {
    Vector sum[rows][2];
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < 2; ++c) {
        sum[r][c] = add ? load(sums + r * columns + c * lanes) : splat(0.0f);
      }
    }
    for (int t = 0; t < tiles; ++t, a += rows_size) {
      for (int k = 0; k < tile_inputs; ++k, b += columns) {
        const Vector left = load(b), right = load(b + lanes);
#pragma GCC unroll 12
        for (int r = 0; r < rows; ++r) {
          const Vector value = splat(a[r * tile_inputs + k]);
          sum[r][0] += value * left;
          sum[r][1] += value * right;
        }
      }
    }
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < 2; ++c) store(sums + r * columns + c * lanes, sum[r][c]);
    }
  }

  // 32 values of one row of a packed tile, at its place.
  static void store_tile_row(const float* x, int row, float* tile) {
    for (int i = 0; i < tile_inputs; i += lanes) {
      store(tile + row * tile_inputs + i, load(x + i));
    }
  }

 private:
  static int round_tiles(int inputs) {
    return (inputs + tile_inputs - 1) / tile_inputs * tile_inputs;
  }

  static void copy_tile(const float* from, int count, float* to) {
    if (count >= tile_inputs) {
      for (int i = 0; i < tile_inputs; i += lanes) store(to + i, load_unaligned(from + i));
    } else {
      for (int i = 0; i < tile_inputs; ++i) to[i] = i < count ? from[i] : 0.0f;
    }
  }

  // A square of `lanes` outputs and inputs, transposed.
  template <class Weight>
  static void pack_square(const Weight* from, long long stride, int outputs, int inputs,
                          float* to) {
    Vector square[lanes];
    for (int i = 0; i < lanes; ++i) {
      square[i] = splat(0.0f);
      if (i >= outputs) continue;
      if (inputs >= lanes) {
        square[i] = widen(from + i * stride);
      } else {
        for (int k = 0; k < inputs; ++k) square[i][k] = widen_one(from[i * stride + k]);
      }
    }
    transpose(square);
    for (int i = 0; i < lanes; ++i) store(to + i * columns, square[i]);
  }
};

}  // namespace
}  // namespace lrm
