// Grid densities layer by layer along x, for the passes that sweep the whole grid.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "progress.h"
#include "surface_grid.h"
#include "surface_sampler.h"

namespace lrm {

// The grid indices, padding included, at which a sweep samples each axis: all of them, or for a
// coarse sweep every stride-th point and the last one.
std::vector<int> sweep_ticks(const SurfaceGrid& grid, int stride);

// Fills `count` layers from the first-th tick: values [count, m, m] for m ticks.
using LayerSource =
    std::function<void(std::size_t first, std::size_t count, float* values, const Progress&)>;

LayerSource field_layers(const SurfaceGrid& grid, const std::vector<int>& ticks,
                         SurfaceSampler& sampler);

// A caller's grid [points, points, points]; every tick.
LayerSource grid_layers(const SurfaceGrid& grid, const float* density);

// Layers to hold at a time for m ticks: enough points to keep all threads busy.
std::size_t layers_at_a_time(std::size_t m);

}  // namespace lrm
