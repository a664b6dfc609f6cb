// softmax(scale q k^T) v on an engine of network_engine_*.h, without the matrix of scores: keys in
// chunks, each query with the largest score and the sum so far.
//
// Sources: Milakov and Gimelshein 2018 (arXiv 1805.02867), the running softmax; Dao et al. 2022,
// FlashAttention (arXiv 2205.14135).
#pragma once

#include "network_activations_impl.h"
#include "network_blocks_impl.h"
#include "network_lanes_impl.h"

namespace lrm {
namespace {

constexpr int key_chunk = 256;
constexpr float no_score = -3.0e38f;

template <class Engine>
struct Attention {
  using Element = typename Engine::Element;
  static constexpr int chunk_tiles = key_chunk / tile_inputs;

  // -- keys and values ----------------------------------------------------------------------------

  static long long packed_head_bytes(const AttentionWork& w) {
    return static_cast<long long>(sizeof(Element)) * (packed_keys(w) + packed_values(w));
  }

  static void pack_head(const AttentionWork& w, int head, void* packed) {
    auto* keys = static_cast<Element*>(packed);
    Element* values = keys + packed_keys(w);
    const float* k = w.k + 1LL * head * w.width;
    const float* v = w.v + 1LL * head * w.width;
    for (int at = 0; at < w.keys; at += Engine::columns) {
      const int used = w.keys - at < Engine::columns ? w.keys - at : Engine::columns;
      Engine::pack_columns(k + at * w.k_stride, w.k_stride, used, w.width, keys);
      keys += width_tiles(w) * Engine::columns_size;
    }
    for (int c = 0; c < w.width; c += Engine::columns) {
      const int used = w.width - c < Engine::columns ? w.width - c : Engine::columns;
      Engine::pack_values(v + c, w.v_stride, w.keys, used, values);
      values += blocks_of(w.keys, tile_inputs) * Engine::columns_size;
    }
  }

  // -- queries ------------------------------------------------------------------------------------

  static long long scratch_bytes(const AttentionWork& w, int count) {
    return Buffers(w, count, nullptr).bytes;
  }

  static void run(const AttentionWork& w, const void* packed, int head, int first, int count,
                  void* scratch) {
    const typename Engine::Scope scope;
    const Buffers buffers(w, count, static_cast<char*>(scratch));
    const auto* keys = static_cast<const Element*>(packed);
    const Element* values = keys + packed_keys(w);
    begin(w, head, first, count, buffers);
    for (int at = 0; at < w.keys; at += key_chunk) {
      const int used = w.keys - at < key_chunk ? w.keys - at : key_chunk;
      score(w, keys, at, used, count, buffers);
      for (int r = 0; r < count; ++r) soften(w, r, used, at > 0, buffers);
      add_values(w, values, at, used, count, buffers);
    }
    finish(w, head, first, count, buffers);
  }

 private:
  // For a piece of queries, in whole blocks of rows.
  struct Buffers {
    Sums<Engine> scores;  // of a chunk of keys
    Sums<Engine> sums;    // what the values add up to
    float* largest;       // [rows] scaled score so far
    float* total;         // [rows] of weights
    Element* queries;     // packed rows
    Element* weights;     // packed rows of 2^(score - largest), scores times scale / ln 2
    long long bytes = 0;

    Buffers(const AttentionWork& w, int count, char* at) {
      scores.panels = key_chunk / Engine::columns;
      sums.panels = static_cast<int>(blocks_of(w.width, Engine::columns));
      const long long blocks = blocks_of(count, Engine::rows), rows = blocks * Engine::rows;
      take(at, blocks * scores.panels * Sums<Engine>::size, &scores.values);
      take(at, blocks * sums.panels * Sums<Engine>::size, &sums.values);
      take(at, rows, &largest);
      take(at, rows, &total);
      take(at, blocks * width_tiles(w) * Engine::rows_size, &queries);
      take(at, blocks * chunk_tiles * Engine::rows_size, &weights);
    }

   private:
    template <class T>
    void take(char* at, long long count, T** buffer) {
      *buffer = at == nullptr ? nullptr : reinterpret_cast<T*>(at + bytes);
      bytes += blocks_of(count * static_cast<long long>(sizeof(T)), 64) * 64;
    }
  };

  static long long width_tiles(const AttentionWork& w) { return blocks_of(w.width, tile_inputs); }
  static long long packed_keys(const AttentionWork& w) {
    return blocks_of(w.keys, Engine::columns) * width_tiles(w) * Engine::columns_size;
  }
  static long long packed_values(const AttentionWork& w) {
    return blocks_of(w.width, Engine::columns) * blocks_of(w.keys, tile_inputs) *
           Engine::columns_size;
  }

  static void begin(const AttentionWork& w, int head, int first, int count, const Buffers& b) {
    const float* q = w.q + first * w.q_stride + 1LL * head * w.width;
    Element* to = b.queries;
    for (int at = 0; at < count; at += Engine::rows) {
      const int used = count - at < Engine::rows ? count - at : Engine::rows;
      Engine::pack_rows(q + at * w.q_stride, w.q_stride, used, w.width, to);
      to += width_tiles(w) * Engine::rows_size;
    }
    for (int r = 0; r < count; ++r) {
      b.largest[r] = no_score;
      b.total[r] = 0.0f;
    }
  }

  static void score(const AttentionWork& w, const Element* keys, int at, int used, int count,
                    const Buffers& b) {
    const int tiles = static_cast<int>(width_tiles(w));
    const long long panel = width_tiles(w) * Engine::columns_size;
    for (int r = 0; r < count; r += Engine::rows) {
      const Element* rows = b.queries + r / Engine::rows * tiles * Engine::rows_size;
      for (int c = 0; c < used; c += Engine::columns) {
        Engine::multiply(rows, keys + (at + c) / Engine::columns * panel, tiles,
                         b.scores.block(r / Engine::rows, c / Engine::columns), false);
      }
    }
  }

  // Scores of query r -> weights; what was added up for it so far, if this is not its first chunk,
  // is scaled to its new largest. A score that is NaN, or infinite, makes the query's sums NaN.
  static void soften(const AttentionWork& w, int r, int used, bool again, const Buffers& b) {
    const int whole = static_cast<int>(blocks_of(used, tile_inputs)) * tile_inputs;
    for (int c = used; c < whole; ++c) *b.scores.at(r, c) = no_score;
    Vector high = splat(no_score);
    for (int c = 0; c < whole; c += lanes) high = maximum(high, load(b.scores.at(r, c)));
    const float scale = w.scale * 1.44269504f;  // powers of two are cheaper than of e
    const float before = b.largest[r], now = largest_of(high) * scale;
    const float largest = before > now ? before : now;
    Element* to = b.weights + r / Engine::rows * chunk_tiles * Engine::rows_size;
    Vector total = splat(0.0f);
    for (int c = 0; c < whole; c += tile_inputs, to += Engine::rows_size) {
      alignas(64) float weights[tile_inputs];
      for (int i = 0; i < tile_inputs; i += lanes) {
        const Vector x = negative_power_of_two(load(b.scores.at(r, c + i)) * scale - largest);
        store(weights + i, x);
        total += x;
      }
      Engine::store_tile_row(weights, r % Engine::rows, to);
    }
    if (again && largest > before) rescale(b, r, before, largest);
    b.largest[r] = largest;
    b.total[r] += sum_of(total);
  }

  static void rescale(const Buffers& b, int r, float before, float largest) {
    const float factor = negative_power_of_two(splat(before - largest))[0];
    b.total[r] *= factor;
    for (int c = 0; c < b.sums.panels * Engine::columns; c += lanes) {
      float* sums = b.sums.at(r, c);
      store(sums, load(sums) * factor);
    }
  }

  static void add_values(const AttentionWork& w, const Element* values, int at, int used, int count,
                         const Buffers& b) {
    const int tiles = static_cast<int>(blocks_of(used, tile_inputs));
    const long long panel = blocks_of(w.keys, tile_inputs) * Engine::columns_size;
    values += 1LL * at / tile_inputs * Engine::columns_size;
    for (int r = 0; r < count; r += Engine::rows) {
      const Element* rows = b.weights + r / Engine::rows * chunk_tiles * Engine::rows_size;
      for (int p = 0; p < b.sums.panels; ++p) {
        Engine::multiply(rows, values + p * panel, tiles, b.sums.block(r / Engine::rows, p),
                         at > 0);
      }
    }
  }

  static void finish(const AttentionWork& w, int head, int first, int count, const Buffers& b) {
    for (int r = 0; r < count; ++r) {
      float* y = w.y + (first + r) * w.y_stride + 1LL * head * w.width;
      const float factor = 1.0f / b.total[r];
      for_columns(w.width, [&](int c, int used) {
        store_lanes(y + c, load(b.sums.at(r, c)) * factor, used);
      });
    }
  }
};

}  // namespace
}  // namespace lrm
