#include "surface_dense.h"

#include <algorithm>

#include "parallel.h"

namespace lrm {
namespace {

// The four rows of values along z that bound a row of cells: bit 0 of the index is x, bit 1 y.
struct CellRows {
  const float* row[4];

  int inside_at(int z, float threshold) const {
    int mask = 0;
    for (int k = 0; k < 4; ++k) mask |= (row[k][z] > threshold) << k;
    return mask;
  }
};

void scan_row(const SurfaceGrid& grid, float threshold, int x, int y, const CellRows& rows,
              SurfaceCrossings& found) {
  int high = rows.inside_at(0, threshold);
  for (int z = 0; z < grid.cells(); ++z) {
    const int low = high;
    high = rows.inside_at(z + 1, threshold);
    const int mask = low | high << 4;
    if (!crosses(mask)) continue;
    const int cell[3] = {x, y, z};
    float corners[8];
    for (int c = 0; c < 8; ++c) corners[c] = rows.row[c & 3][z + (c >> 2)];
    add_cell(grid, cell, mask, corners, found);
  }
}

// The cells between layer x (at `layer`) and the next one.
void scan_layer(const SurfaceGrid& grid, float threshold, int x, const float* layer,
                SurfaceCrossings& found) {
  const auto m = static_cast<std::size_t>(grid.side());
  for (int y = 0; y < grid.cells(); ++y) {
    const float* row = layer + static_cast<std::size_t>(y) * m;
    scan_row(grid, threshold, x, y, {{row, row + m * m, row + m, row + m * m + m}}, found);
  }
}

void append(const SurfaceCrossings& more, SurfaceCrossings& all) {
  all.cells.insert(all.cells.end(), more.cells.begin(), more.cells.end());
  all.edges.insert(all.edges.end(), more.edges.begin(), more.edges.end());
}

}  // namespace

SurfaceCrossings sweep_grid(const SurfaceGrid& grid, float threshold, const LayerSource& source,
                            int threads, MemoryBudget& budget, const Progress& progress) {
  const auto m = static_cast<std::size_t>(grid.side());
  const std::size_t batch = std::min(layers_at_a_time(m), m - 1);
  // Beside the layers: coordinates and densities of the points on their way through the decoder.
  const MemoryCharge held(budget, ((batch + 1) * 5) * m * m * sizeof(float));
  std::vector<float> values((batch + 1) * m * m);
  SurfaceCrossings all;
  MemoryCharge growing(budget);
  source(0, 1, values.data(), {});
  for (std::size_t x = 0; x + 1 < m; x += batch) {
    const std::size_t count = std::min(batch, m - 1 - x);
    const auto fraction = [&](std::size_t layer) {
      return static_cast<float>(layer) / static_cast<float>(m - 1);
    };
    source(x + 1, count, values.data() + m * m, progress.part(fraction(x), fraction(x + count)));
    std::vector<SurfaceCrossings> found(count);
    parallel_for(threads, count, [&](std::size_t i, int) {
      scan_layer(grid, threshold, static_cast<int>(x + i), values.data() + i * m * m, found[i]);
    });
    for (const SurfaceCrossings& layer : found) append(layer, all);
    growing.set(all.bytes());
    std::copy_n(values.data() + count * m * m, m * m, values.data());
    progress.report(fraction(x + count));
  }
  sort_crossings(all);
  return all;
}

}  // namespace lrm
