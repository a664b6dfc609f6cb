#include "surface_layers.h"

#include <algorithm>

namespace lrm {
namespace {

// Points of a batch: a few hundred tasks for the threads to share, 2 MiB of coordinates.
constexpr std::size_t points_per_batch = 1 << 17;

std::vector<int> inner_ticks(const SurfaceGrid& grid, const std::vector<int>& ticks,
                             std::size_t first, std::size_t count) {
  std::vector<int> inner;
  for (std::size_t i = first; i < first + count; ++i) {
    if (!grid.is_padding(ticks[i])) inner.push_back(ticks[i]);
  }
  return inner;
}

std::vector<float> tick_points(const SurfaceGrid& grid, const std::vector<int>& layers,
                               const std::vector<int>& inner) {
  std::vector<float> xyz;
  xyz.reserve(3 * layers.size() * inner.size() * inner.size());
  for (int x : layers) {
    for (int y : inner) {
      for (int z : inner) {
        for (int i : {x, y, z}) xyz.push_back(grid.coordinate(i));
      }
    }
  }
  return xyz;
}

// Fills one padded layer of m x m from n x n densities, or with padding alone if there are none.
void fill_layer(const float* density, std::size_t n, std::size_t m, float* layer) {
  std::fill_n(layer, m * m, padding_value);
  if (density == nullptr) return;
  const std::size_t pad = (m - n) / 2;
  for (std::size_t y = 0; y < n; ++y) std::copy_n(density + y * n, n, layer + (y + pad) * m + pad);
}

}  // namespace

std::vector<int> sweep_ticks(const SurfaceGrid& grid, int stride) {
  std::vector<int> ticks;
  if (grid.pad == 1) ticks.push_back(0);
  for (int i = 0; i < grid.points - 1; i += stride) ticks.push_back(i + grid.pad);
  ticks.push_back(grid.points - 1 + grid.pad);
  if (grid.pad == 1) ticks.push_back(grid.side() - 1);
  return ticks;
}

LayerSource field_layers(const SurfaceGrid& grid, const std::vector<int>& ticks,
                         SurfaceSampler& sampler) {
  return [&, inner = inner_ticks(grid, ticks, 0, ticks.size())](
             std::size_t first, std::size_t count, float* values, const Progress& progress) {
    const std::vector<float> xyz = tick_points(grid, inner_ticks(grid, ticks, first, count), inner);
    std::vector<float> density(xyz.size() / 3);
    sampler.grid_density(xyz.data(), density.size(), density.data(), progress);
    const std::size_t n = inner.size(), m = ticks.size();
    const float* next = density.data();
    for (std::size_t i = 0; i < count; ++i) {
      const bool padding = grid.is_padding(ticks[first + i]);
      fill_layer(padding ? nullptr : next, n, m, values + i * m * m);
      if (!padding) next += n * n;
    }
  };
}

LayerSource grid_layers(const SurfaceGrid& grid, const float* density) {
  return [&grid, density](std::size_t first, std::size_t count, float* values, const Progress&) {
    const auto n = static_cast<std::size_t>(grid.points), m = static_cast<std::size_t>(grid.side());
    const auto pad = static_cast<std::size_t>(grid.pad);
    for (std::size_t i = 0; i < count; ++i) {
      const bool padding = grid.is_padding(static_cast<int>(first + i));
      fill_layer(padding ? nullptr : density + (first + i - pad) * n * n, n, m, values + i * m * m);
    }
  };
}

std::size_t layers_at_a_time(std::size_t m) {
  return std::clamp<std::size_t>(points_per_batch / (m * m), 1, m);
}

}  // namespace lrm
