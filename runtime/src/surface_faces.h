// The triangles of the cells, over vertices shared by the cells around each crossed edge.
#pragma once

#include <cstdint>
#include <vector>

#include "memory_budget.h"
#include "surface_crossings.h"

namespace lrm {

// Vertex i is that of crossings.edges[i]; `crossings` is sorted. Returns [faces, 3], in the order
// of the cells. Throws if the vertices are more than 32-bit indices can tell apart.
std::vector<std::uint32_t> make_faces(const SurfaceGrid& grid, const SurfaceCrossings& crossings,
                                      int threads, MemoryBudget& budget);

}  // namespace lrm
