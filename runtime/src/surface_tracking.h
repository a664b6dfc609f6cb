// Extraction by tracking: from seeds, the surface is followed from cell to cell.
//
// A cell that the surface passes through hands it on over every face that has corners on both
// sides; so everything connected to a seed is found, and nothing else is evaluated (Wyvill,
// McPheeters and Wyvill 1986, "Data structure for soft objects"; Bloomenthal 1988, "Polygonization
// of implicit surfaces"). The cells go in waves, so that each wave's new grid points form one large
// batch for the decoder.
#pragma once

#include <vector>

#include "memory_budget.h"
#include "surface_crossings.h"
#include "surface_sampler.h"
#include "surface_seeds.h"

namespace lrm {

// The cells of every component that a seed lies on, in the order of sweep_grid.
SurfaceCrossings track_surface(const SurfaceGrid& grid, float threshold,
                               const std::vector<SurfaceSeed>& seeds, SurfaceSampler& sampler,
                               MemoryBudget& budget, const Progress& progress);

}  // namespace lrm
