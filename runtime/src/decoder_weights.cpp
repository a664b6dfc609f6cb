#include "decoder_weights.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "sizes.h"

namespace lrm {
namespace {

// A matrix [rows, columns] or its transpose.
struct Matrix {
  const float* values;
  int rows, columns;
  int row_step, column_step;

  Matrix transposed() const { return {values, columns, rows, column_step, row_step}; }
  float at(int row, int column) const {
    if (row >= rows || column >= columns) return 0.0f;
    return values[as_size(row) * as_size(row_step) + as_size(column) * as_size(column_step)];
  }
};

Matrix layer_matrix(const lrm_field_options& options, const float* const* weights, int layer) {
  const int inputs = options.layer_widths[layer], outputs = options.layer_widths[layer + 1];
  return {weights[layer], outputs, inputs, inputs, 1};
}

// -- Panels of kernel_rows rows: [panel, columns, kernel_rows] ------------------------------------

std::size_t panel_floats(const Matrix& m) {
  return as_size(round_up(m.rows, kernel_rows)) * as_size(m.columns);
}

void write_panels(const Matrix& m, float* panels) {
  for (int first = 0; first < m.rows; first += kernel_rows) {
    for (int k = 0; k < m.columns; ++k) {
      for (int row = 0; row < kernel_rows; ++row) *panels++ = m.at(first + row, k);
    }
  }
}

// -- Tiles: see KernelTiles -----------------------------------------------------------------------

KernelTiles tiles_of(const Matrix& m) {
  return {nullptr, (m.columns + tile_channels - 1) / tile_channels,
          (m.rows + tile_channels - 1) / tile_channels};
}

// Of a matrix of one part.
std::size_t tile_values(const KernelTiles& tiles) {
  return as_size(tiles.input_tiles) * as_size(tiles.output_pairs) *
         as_size(tile_channels * tile_channels);
}

// The upper half of a float32, and what is missing. Cut, not rounded: parts of one sign cannot
// cancel when a sum overflows.
unsigned short split(float x, float* rest) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits &= 0xffff0000u;
  float high;
  std::memcpy(&high, &bits, sizeof high);
  *rest = x - high;
  return static_cast<unsigned short>(bits >> 16);
}

constexpr int tile_size = 16 * tile_channels;

// Outputs first_output.. and inputs first_input.. of the matrix: low, middle and high parts, each
// two tiles after the one before.
void write_tile(const Matrix& m, int first_output, int first_input, unsigned short* parts) {
  for (int j = 0; j < 16; ++j) {
    for (int output = 0; output < 16; ++output) {
      for (int half = 0; half < 2; ++half, ++parts) {
        float rest = m.at(first_output + output, first_input + j + 16 * half);
        for (const int part : {2, 1, 0}) parts[2 * part * tile_size] = split(rest, &rest);
      }
    }
  }
}

void write_tiles(const Matrix& m, const KernelTiles& tiles, unsigned short* values) {
  for (int pair = 0; pair < tiles.output_pairs; ++pair) {
    for (int k = 0; k < tiles.input_tiles; ++k) {
      const int output = pair * tile_channels, input = k * tile_channels;
      write_tile(m, output, input, values);
      write_tile(m, output + 16, input, values + tile_size);
      values += 6 * tile_size;
    }
  }
}

// To the nearest bfloat16, after making up for what cutting takes off the values it meets.
unsigned short rounded(float x) {
  constexpr float cut_away = 1.00283f;  // see decoder_rough_impl.h
  x *= cut_away;
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<unsigned short>((bits + 0x8000u) >> 16);
}

void write_rounded(const Matrix& m, const KernelTiles& tiles, unsigned short* values) {
  for (int pair = 0; pair < tiles.output_pairs; ++pair) {
    for (int k = 0; k < tiles.input_tiles; ++k) {
      for (int i = 0; i < 2 * tile_size; ++i) {
        const int half = i % 2, output = i / 2 % 16 + i / tile_size * 16, j = i / 32 % 16;
        *values++ = rounded(m.at(pair * tile_channels + output, k * tile_channels + j + 16 * half));
      }
    }
  }
}

// Calls add(layer, matrix) and add_transposed(layer, matrix) for what a kernel multiplies with.
template <class Add, class AddTransposed>
void for_matrices(const lrm_field_options& options, const float* const* weights, const Add& add,
                  const AddTransposed& add_transposed) {
  const int count = options.layer_count - 1;
  for (int i = 0; i < count; ++i) {
    const Matrix matrix = layer_matrix(options, weights, i + 1);
    add(i, matrix);
    if (i + 1 < count) add_transposed(i, matrix.transposed());
  }
}

}  // namespace

DecoderWeights::DecoderWeights(const lrm_field_options& options, const float* const* weights,
                               const float* const* biases, bool wants_tiles, KernelModel* model) {
  model->layer_count = options.layer_count - 1;
  for (int i = 0; i < model->layer_count; ++i) {
    model->layers[i].inputs = options.layer_widths[i + 1];
    model->layers[i].outputs = options.layer_widths[i + 2];
  }
  add_vectors(options, weights, biases, model);
  wants_tiles ? add_tiles(options, weights, model) : add_panels(options, weights, model);
}

void DecoderWeights::add_vectors(const lrm_field_options& options, const float* const* weights,
                                 const float* const* biases, KernelModel* model) {
  const int count = model->layer_count;
  const int row = options.layer_widths[count];
  std::size_t floats = as_size(round_up(row, tile_channels));
  for (int i = 0; i < count; ++i) {
    floats += as_size(round_up(model->layers[i].outputs, tile_channels));
  }
  vectors_ = AlignedFloats(floats);
  float* next = vectors_.data();
  for (int i = 0; i < count; ++i) {
    KernelLayer& layer = model->layers[i];
    if (biases[i + 1] != nullptr) std::copy_n(biases[i + 1], layer.outputs, next);
    layer.bias = next;
    next += round_up(layer.outputs, tile_channels);
  }
  if (count > 0) std::copy_n(weights[count], row, next);
  model->density_row = next;
}

void DecoderWeights::add_panels(const lrm_field_options& options, const float* const* weights,
                                KernelModel* model) {
  std::size_t floats = 0;
  const auto count = [&](int, const Matrix& m) { floats += panel_floats(m); };
  for_matrices(options, weights, count, count);
  panels_ = AlignedFloats(floats);
  float* next = panels_.data();
  const auto write = [&](const Matrix& m) {
    write_panels(m, next);
    return std::exchange(next, next + panel_floats(m));
  };
  for_matrices(
      options, weights, [&](int i, const Matrix& m) { model->layers[i].panels = write(m); },
      [&](int i, const Matrix& m) { model->layers[i].transposed = write(m); });
}

void DecoderWeights::add_tiles(const lrm_field_options& options, const float* const* weights,
                               KernelModel* model) {
  std::size_t values = 0;
  for_matrices(
      options, weights, [&](int, const Matrix& m) { values += 4 * tile_values(tiles_of(m)); },
      [&](int, const Matrix& m) { values += 3 * tile_values(tiles_of(m)); });
  tiles_ = AlignedArray<unsigned short>(values);
  unsigned short* next = tiles_.data();
  const auto write = [&](const Matrix& m) {
    KernelTiles tiles = tiles_of(m);
    write_tiles(m, tiles, next);
    tiles.weights = std::exchange(next, next + 3 * tile_values(tiles));
    return tiles;
  };
  for_matrices(
      options, weights,
      [&](int i, const Matrix& m) {
        KernelLayer& layer = model->layers[i];
        layer.tiles = write(m);
        write_rounded(m, layer.tiles, next);
        layer.rounded = std::exchange(next, next + tile_values(layer.tiles));
      },
      [&](int i, const Matrix& m) { model->layers[i].transposed_tiles = write(m); });
}

}  // namespace lrm
