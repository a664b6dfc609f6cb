#include "decoder_weights.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace lrm {
namespace {

std::size_t as_size(int value) { return static_cast<std::size_t>(value); }

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

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

std::size_t tile_values(const KernelTiles& tiles) {
  return 3 * as_size(tiles.input_tiles) * as_size(tiles.output_pairs) *
         as_size(tile_channels * tile_channels);
}

// The nearest bfloat16, ties away from zero, and what is missing.
unsigned short split(float x, float* rest) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x8000u) & 0xffff0000u;
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

}  // namespace

DecoderWeights::DecoderWeights(const lrm_field_options& options, const float* const* weights,
                               const float* const* biases, bool wants_tiles, KernelModel* model) {
  const int count = options.layer_count - 1;
  const auto padded_outputs = [&](int i) {
    return round_up(options.layer_widths[i + 2], tile_channels);
  };
  // The density row.
  std::size_t floats = as_size(round_up(options.layer_widths[count], tile_channels));
  std::size_t tiles = 0;
  for (int i = 0; i < count; ++i) {
    const Matrix matrix = layer_matrix(options, weights, i + 1);
    floats += as_size(padded_outputs(i));
    if (wants_tiles) {
      tiles += tile_values(tiles_of(matrix)) + tile_values(tiles_of(matrix.transposed()));
    } else {
      floats += panel_floats(matrix) + panel_floats(matrix.transposed());
    }
  }
  floats_ = AlignedFloats(floats);
  tiles_ = AlignedArray<unsigned short>(tiles);
  float* next = floats_.data();
  unsigned short* next_tiles = tiles_.data();
  const auto add_tiles = [&](const Matrix& matrix) {
    KernelTiles made = tiles_of(matrix);
    write_tiles(matrix, made, next_tiles);
    made.weights = next_tiles;
    next_tiles += tile_values(made);
    return made;
  };
  const auto add_panels = [&](const Matrix& matrix) {
    float* panels = next;
    write_panels(matrix, panels);
    next += panel_floats(matrix);
    return panels;
  };
  // What vectors read comes first: each begins at a cache line, whatever the layers' widths.
  for (int i = 0; i < count; ++i) {
    if (biases[i + 1] != nullptr) std::copy_n(biases[i + 1], options.layer_widths[i + 2], next);
    model->layers[i].bias = next;
    next += padded_outputs(i);
  }
  if (count > 0) std::copy_n(weights[count], options.layer_widths[count], next);
  model->density_row = next;
  next += round_up(options.layer_widths[count], tile_channels);
  for (int i = 0; i < count; ++i) {
    const Matrix matrix = layer_matrix(options, weights, i + 1);
    KernelLayer& layer = model->layers[i];
    layer.inputs = matrix.columns;
    layer.outputs = matrix.rows;
    if (wants_tiles) {
      layer.tiles = add_tiles(matrix);
      layer.transposed_tiles = add_tiles(matrix.transposed());
    } else {
      layer.panels = add_panels(matrix);
      layer.transposed = add_panels(matrix.transposed());
    }
  }
  model->layer_count = count;
}

}  // namespace lrm
