// Densities of the field for surface extraction, counted.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "field.h"

namespace lrm {

// How many points were decoded, and what densities grid points had.
struct SampleStatistics {
  std::uint64_t evaluations = 0;
  float lowest = std::numeric_limits<float>::infinity();
  float highest = -std::numeric_limits<float>::infinity();
};

class SurfaceSampler {
 public:
  explicit SurfaceSampler(const Field& field) : field_(field) {}

  const Field& field() const { return field_; }
  const SampleStatistics& statistics() const { return statistics_; }

  // Densities at points of the grid, on all of the field's threads. xyz [n, 3] native.
  // A density that overflowed to NaN counts as empty.
  void grid_density(const float* xyz, std::size_t n, float* density,
                    const Progress& progress = {}) {
    field_.density_parallel(xyz, n, density, progress);
    statistics_.evaluations += n;
    for (std::size_t i = 0; i < n; ++i) {
      if (std::isnan(density[i])) density[i] = 0.0f;
      statistics_.lowest = std::min(statistics_.lowest, density[i]);
      statistics_.highest = std::max(statistics_.highest, density[i]);
    }
  }

  // Counts points decoded elsewhere (vertices, normals, colours).
  void count(std::size_t evaluations) { statistics_.evaluations += evaluations; }

 private:
  const Field& field_;
  SampleStatistics statistics_;
};

}  // namespace lrm
