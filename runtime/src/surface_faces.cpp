#include "surface_faces.h"

#include <algorithm>
#include <limits>

#include "marching_cubes_table.h"
#include "parallel.h"

namespace lrm {
namespace {

constexpr std::size_t cells_per_task = 1 << 14;

void check_vertex_count(std::size_t count) {
  constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
  if (count > most) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "resolution: expected a surface of at most %lu vertices (32-bit indices), got %zu; "
                "lower the resolution",
                static_cast<unsigned long>(most), count);
  }
}

// Finds the vertex of an edge: a table of where each row along z begins, then a search in the row.
class VertexLookup {
 public:
  VertexLookup(const SurfaceGrid& grid, const std::vector<SurfaceEdge>& edges)
      : grid_(grid), edges_(edges), row_begin_(row_count(grid) + 1) {
    std::size_t edge = 0;
    for (std::size_t row = 0; row < row_begin_.size(); ++row) {
      while (edge < edges.size() && row_of(edges[edge].index()) < row) ++edge;
      row_begin_[row] = static_cast<std::uint32_t>(edge);
    }
  }

  static std::size_t row_count(const SurfaceGrid& grid) {
    const auto side = static_cast<std::size_t>(grid.side());
    return side * side;
  }

  std::uint32_t vertex(std::uint64_t key) const {
    const std::size_t row = row_of(key >> 2);
    const auto begin = edges_.begin() + row_begin_[row];
    const auto end = edges_.begin() + row_begin_[row + 1];
    const SurfaceEdge wanted{key, 0.0f, 0.0f};
    return static_cast<std::uint32_t>(std::lower_bound(begin, end, wanted) - edges_.begin());
  }

 private:
  std::size_t row_of(std::uint64_t index) const {
    return static_cast<std::size_t>(index / static_cast<std::uint64_t>(grid_.side()));
  }

  const SurfaceGrid& grid_;
  const std::vector<SurfaceEdge>& edges_;
  std::vector<std::uint32_t> row_begin_;
};

// What to add to a cell's index to get the low end of each of its edges; with the axis, as a key.
struct EdgeKeys {
  std::uint64_t offset[cell_edge_count];

  explicit EdgeKeys(const SurfaceGrid& grid) {
    for (int e = 0; e < cell_edge_count; ++e) {
      const CellEdge edge = cell_edge(e);
      const std::uint64_t index = grid.index(edge.low & 1, edge.low >> 1 & 1, edge.low >> 2 & 1);
      offset[e] = index << 2 | static_cast<std::uint64_t>(edge.axis);
    }
  }
};

// The face index at which each task's cells begin, and the total.
std::vector<std::size_t> face_offsets(const std::vector<SurfaceCell>& cells) {
  std::vector<std::size_t> offsets{0};
  std::size_t faces = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    faces += cell_case(cells[i].mask()).triangle_count;
    if ((i + 1) % cells_per_task == 0 || i + 1 == cells.size()) offsets.push_back(faces);
  }
  return offsets;
}

void write_cell(const SurfaceCell& cell, const VertexLookup& vertices, const EdgeKeys& keys,
                std::uint32_t*& face) {
  const CellCase& triangles = cell_case(cell.mask());
  for (int i = 0; i < 3 * triangles.triangle_count; ++i) {
    *face++ = vertices.vertex((cell.index() << 2) + keys.offset[triangles.edges[i]]);
  }
}

}  // namespace

std::vector<std::uint32_t> make_faces(const SurfaceGrid& grid, const SurfaceCrossings& crossings,
                                      int threads, MemoryBudget& budget) {
  check_vertex_count(crossings.edges.size());
  const MemoryCharge table(budget, VertexLookup::row_count(grid) * sizeof(std::uint32_t));
  const VertexLookup vertices(grid, crossings.edges);
  const EdgeKeys keys(grid);
  const std::vector<std::size_t> offsets = face_offsets(crossings.cells);
  std::vector<std::uint32_t> faces(3 * offsets.back());
  parallel_for(threads, offsets.size() - 1, [&](std::size_t task, int) {
    std::uint32_t* face = faces.data() + 3 * offsets[task];
    const std::size_t first = task * cells_per_task;
    const std::size_t last = std::min(first + cells_per_task, crossings.cells.size());
    for (std::size_t i = first; i < last; ++i) write_cell(crossings.cells[i], vertices, keys, face);
  });
  return faces;
}

}  // namespace lrm
