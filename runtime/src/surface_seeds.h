// Where tracking starts: grid edges that the surface crosses, found by a coarse sweep.
#pragma once

#include <vector>

#include "memory_budget.h"
#include "surface_layers.h"

namespace lrm {

struct SurfaceSeed {
  int cell[3];  // a cell of the grid that contains a crossed edge
};

// Every stride-th grid point is sampled. Between two neighbouring samples of which one is inside,
// some grid edge is crossed, and bisection along the grid line finds one. Where the samples' rise
// points to a part between them (surface_peaks.h), one more sample tells.
std::vector<SurfaceSeed> find_seeds(const SurfaceGrid& grid, float threshold, int stride,
                                    SurfaceSampler& sampler, MemoryBudget& budget,
                                    const Progress& progress);

// The stride used when the caller leaves it open.
int choose_seed_stride(int points);

}  // namespace lrm
