// Exhaustive extraction: a sweep over every cell of the grid, a few layers at a time.
#pragma once

#include "memory_budget.h"
#include "surface_crossings.h"
#include "surface_layers.h"

namespace lrm {

// Every cell that the surface passes through, in order. `threads` scan what `source` fills in.
SurfaceCrossings sweep_grid(const SurfaceGrid& grid, float threshold, const LayerSource& source,
                            int threads, MemoryBudget& budget, const Progress& progress);

}  // namespace lrm
