// y = activation(x matrix^T + bias) + residual on an engine of network_engine_*.h.
//
// A call has all rows of x, packed, and some columns of y: it packs their weights, which then lie
// in the level 2 cache while groups of rows pass. Of those, a block of rows and the `deep` tiles
// of inputs that it is multiplied by lie in the level 1 cache, sums in between in level 2.
#pragma once

#include "network_activations_impl.h"
#include "network_blocks_impl.h"
#include "network_lanes_impl.h"

namespace lrm {
namespace {

constexpr int group_rows = 512;  // about: whole blocks

// The part'th of `parts` parts of `count` elements, into the level 2 cache.
template <class T>
inline void prefetch(const T* from, int count, int part, int parts) {
  const auto* bytes = reinterpret_cast<const char*>(from);
  const long long size = count * static_cast<long long>(sizeof(T));
  for (long long at = size * part / parts; at < size * (part + 1) / parts; at += 64) {
    __builtin_prefetch(bytes + at, 0, 2);
  }
}

template <class Engine>
struct Linear {
  using Element = typename Engine::Element;
  static constexpr int group_blocks = group_rows / Engine::rows;

  static int row_block(const LinearWork&) { return Engine::rows; }
  static long long packed_rows_bytes(const LinearWork& w) {
    return static_cast<long long>(sizeof(Element)) * blocks_of(w.rows, Engine::rows) * tiles(w) *
           Engine::rows_size;
  }
  static void pack_rows(const LinearWork& w, int first, int count, void* packed) {
    for (long long row = first; row < first + count; row += Engine::rows) {
      const int used = static_cast<int>(first + count - row);
      Engine::pack_rows(w.x + row * w.x_stride, w.x_stride,
                        used < Engine::rows ? used : Engine::rows, w.inputs,
                        block(w, static_cast<Element*>(packed), row / Engine::rows));
    }
  }

  static long long scratch_bytes(const LinearWork& w, int count) {
    return weight_bytes(w, count) + static_cast<long long>(sizeof(float)) * group_blocks *
                                        panels(count) * Sums<Engine>::size;
  }

  static void run(const LinearWork& w, const void* packed, int first, int count, void* scratch) {
    const typename Engine::Scope scope;
    auto* weights = static_cast<Element*>(scratch);
    const Sums<Engine> sums = {
        reinterpret_cast<float*>(static_cast<char*>(scratch) + weight_bytes(w, count)),
        panels(count)};
    if (w.bfloat16) {
      pack_weights(w, static_cast<const unsigned short*>(w.matrix), first, count, weights);
    } else {
      pack_weights(w, static_cast<const float*>(w.matrix), first, count, weights);
    }
    const auto* rows = static_cast<const Element*>(packed);
    const long long row_blocks = blocks_of(w.rows, Engine::rows);
    for (long long at = 0; at < row_blocks; at += group_blocks) {
      const long long left = row_blocks - at;
      const int blocks = left < group_blocks ? static_cast<int>(left) : group_blocks;
      multiply_group(w, rows, at, blocks, weights, sums);
      const long long row = at * Engine::rows, rest = w.rows - row;
      const int used =
          rest < blocks * Engine::rows ? static_cast<int>(rest) : blocks * Engine::rows;
      finish(w, row, used, first, count, sums);
    }
  }

 private:
  static long long tiles(const LinearWork& w) { return blocks_of(w.inputs, tile_inputs); }
  static int panels(int count) { return static_cast<int>(blocks_of(count, Engine::columns)); }
  static long long weight_bytes(const LinearWork& w, int count) {
    return static_cast<long long>(sizeof(Element)) * panels(count) * tiles(w) *
           Engine::columns_size;
  }
  template <class T>
  static T* block(const LinearWork& w, T* packed, long long number) {
    return packed + number * tiles(w) * Engine::rows_size;
  }

  template <class Weight>
  static void pack_weights(const LinearWork& w, const Weight* matrix, int first, int count,
                           Element* to) {
    for (int c = 0; c < count; c += Engine::columns, to += tiles(w) * Engine::columns_size) {
      const int used = count - c < Engine::columns ? count - c : Engine::columns;
      Engine::pack_columns(matrix + (first + c) * static_cast<long long>(w.inputs), w.inputs, used,
                           w.inputs, to);
    }
  }

  static void multiply_group(const LinearWork& w, const Element* rows, long long at, int blocks,
                             const Element* weights, const Sums<Engine>& sums) {
    const int all = static_cast<int>(tiles(w));
    for (int t = 0; t < all; t += Engine::deep) {
      const int some = all - t < Engine::deep ? all - t : Engine::deep;
      for (int b = 0; b < blocks; ++b) {
        const Element* left = block(w, rows, at + b) + t * Engine::rows_size;
        const Element* next = b + 1 < blocks ? left + all * Engine::rows_size
                                             : block(w, rows, at) + (t + some) * Engine::rows_size;
        for (int p = 0; p < sums.panels; ++p) {
          prefetch(next, some * Engine::rows_size, p, sums.panels);
          prefetch(weights + (1LL * p * all + t + some) * Engine::columns_size,
                   some * Engine::columns_size, b, blocks);
          Engine::multiply(left, weights + (1LL * p * all + t) * Engine::columns_size, some,
                           sums.block(b, p), t > 0);
        }
      }
    }
  }

  // The sums of rows [row, row + rows) to y.
  static void finish(const LinearWork& w, long long row, int rows, int first, int count,
                     const Sums<Engine>& sums) {
    with_activation(w.activation, [&](auto kind) {
      constexpr int kActivation = decltype(kind)::value;
      constexpr bool gated = kActivation == linear_geglu;
      const int outputs = gated ? count / 2 : count, to = gated ? first / 2 : first;
      for (int r = 0; r < rows; ++r) {
        float* y = w.y + (row + r) * w.y_stride + to;
        const float* residual =
            w.residual == nullptr ? nullptr : w.residual + (row + r) * w.residual_stride + to;
        const float* bias = w.bias == nullptr ? nullptr : w.bias + first;
        for_columns(outputs, [&](int c, int used) {
          Vector x = finished<kActivation>(sums, r, bias, c, used);
          if (residual != nullptr) x += load_lanes(residual + c, used);
          store_lanes(y + c, x, used);
        });
      }
    });
  }

  template <int kActivation>
  static Vector finished(const Sums<Engine>& sums, int row, const float* bias, int c, int used) {
    if constexpr (kActivation == linear_geglu) {
      const int value = c / 16 * 32 + c % 16, gate = value + 16;
      Vector x = load(sums.at(row, value)), g = load(sums.at(row, gate));
      if (bias != nullptr) {
        x += load_unaligned(bias + value);
        g += load_unaligned(bias + gate);
      }
      return x * gelu(g);
    } else {
      Vector x = load(sums.at(row, c));
      if (bias != nullptr) x += load_lanes(bias + c, used);
      return activated<kActivation>(x);
    }
  }
};

}  // namespace
}  // namespace lrm
