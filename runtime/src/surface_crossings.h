// What an extraction collects: the cells that the surface passes through and the grid edges that it
// crosses. Memory grows with the surface.
#pragma once

#include <cstdint>
#include <vector>

#include "surface_grid.h"

namespace lrm {

// A cell: its lowest corner's grid index and the mask of its corners that are inside.
struct SurfaceCell {
  std::uint64_t packed;

  SurfaceCell(std::uint64_t index, int mask)
      : packed(index << 8 | static_cast<std::uint64_t>(mask)) {}
  std::uint64_t index() const { return packed >> 8; }
  int mask() const { return static_cast<int>(packed & 255); }
  bool operator<(const SurfaceCell& other) const { return packed < other.packed; }
};

// An edge that the surface crosses, with the densities at its ends. The key is the grid index of
// the low end times 4 plus the axis: sorted edges lie row after row along z.
struct SurfaceEdge {
  std::uint64_t key;
  float low, high;

  std::uint64_t index() const { return key >> 2; }
  int axis() const { return static_cast<int>(key & 3); }
  bool operator<(const SurfaceEdge& other) const { return key < other.key; }
};

struct SurfaceCrossings {
  std::vector<SurfaceCell> cells;
  std::vector<SurfaceEdge> edges;

  std::uint64_t bytes() const {
    return cells.capacity() * sizeof(SurfaceCell) + edges.capacity() * sizeof(SurfaceEdge);
  }
};

constexpr bool crosses(int mask) { return mask != 0 && mask != 255; }

// Adds a cell with its corner densities (corner c as in marching_cubes_table.h; `mask` has the
// corners that are inside) and those of its crossed edges that no other cell brings: up to four
// cells share an edge, and the one with the highest indices owns it.
void add_cell(const SurfaceGrid& grid, const int cell[3], int mask, const float corners[8],
              SurfaceCrossings& crossings);

// The order of a dense sweep, whatever order the cells were found in.
void sort_crossings(SurfaceCrossings& crossings);

}  // namespace lrm
