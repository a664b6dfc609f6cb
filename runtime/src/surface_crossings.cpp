#include "surface_crossings.h"

#include <algorithm>

#include "marching_cubes_table.h"

namespace lrm {
namespace {

// An edge on the low side of the cell along both other axes is the cell's own; one on a high side
// is a neighbour's, unless the grid ends there.
bool owns_edge(const SurfaceGrid& grid, const int cell[3], const CellEdge& edge) {
  for (int axis = 0; axis < 3; ++axis) {
    const bool high_side = axis != edge.axis && (edge.low >> axis & 1);
    if (high_side && cell[axis] != grid.cells() - 1) return false;
  }
  return true;
}

template <class T>
void sort_unless_sorted(std::vector<T>& items) {
  if (!std::is_sorted(items.begin(), items.end())) std::sort(items.begin(), items.end());
}

}  // namespace

void add_cell(const SurfaceGrid& grid, const int cell[3], int mask, const float corners[8],
              SurfaceCrossings& crossings) {
  crossings.cells.emplace_back(grid.index(cell[0], cell[1], cell[2]), mask);
  for (int e = 0; e < cell_edge_count; ++e) {
    const CellEdge edge = cell_edge(e);
    if ((mask >> edge.low & 1) == (mask >> edge.high & 1)) continue;
    if (!owns_edge(grid, cell, edge)) continue;
    const std::uint64_t index = grid.index(cell[0] + (edge.low & 1), cell[1] + (edge.low >> 1 & 1),
                                           cell[2] + (edge.low >> 2 & 1));
    const auto axis = static_cast<std::uint64_t>(edge.axis);
    crossings.edges.push_back({index << 2 | axis, corners[edge.low], corners[edge.high]});
  }
}

void sort_crossings(SurfaceCrossings& crossings) {
  sort_unless_sorted(crossings.cells);
  sort_unless_sorted(crossings.edges);
}

}  // namespace lrm
