// How the matrices of a network's kernel lie: an engine (network_engine_*.h) multiplies blocks of
// rows by panels of columns, both packed in tiles of 32 inputs.
#pragma once

namespace lrm {
namespace {

constexpr int tile_inputs = 32;

inline long long blocks_of(long long count, int size) { return (count + size - 1) / size; }

// Sums of products lie block by block, [blocks of rows, panels of columns, rows, columns]: rows
// that lie a power of two apart would share few lines of the level 1 cache.
template <class Engine>
struct Sums {
  static constexpr int size = Engine::rows * Engine::columns;
  float* values;
  int panels;

  float* block(int row_block, int panel) const {
    return values + (row_block * panels + panel) * size;
  }
  // Column c of a row, and the rest of its panel.
  float* at(int row, int c) const {
    return block(row / Engine::rows, c / Engine::columns) + row % Engine::rows * Engine::columns +
           c % Engine::columns;
  }
};

}  // namespace
}  // namespace lrm
