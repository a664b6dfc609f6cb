// A ray's way from sample to sample, over those that lie in empty space.
#pragma once

#include <algorithm>
#include <cmath>

#include "occupancy.h"
#include "ray_sampling.h"

namespace lrm {

// All that a step needs, in one cache line.
struct alignas(64) RayWalk {
  float place[3], stride[3];  // of sample 0 and from one to the next, in cells of the lattice
  float samples_per_cell[3];  // 1 / stride
  int heading;                // of Occupancy
  int next;                   // sample
  int turn;                   // likely samples wanted in a turn
  int picked, likely;         // samples in the current one, and those of them that are likely

  void start(const double origin[3], const Ray<double>& ray, const RaySampling<double>& samples,
             const Lattice& lattice) {
    const double first = samples.distance(ray, 0), step = samples.distance(ray, 1) - first;
    const double cells = 1.0 / static_cast<double>(lattice.spacing);
    for (int i = 0; i < 3; ++i) {
      const double begin = origin[i] + ray.direction[i] * first;
      const double along = ray.direction[i] * step * cells;
      place[i] = static_cast<float>((begin + static_cast<double>(lattice.extent)) * cells);
      stride[i] = static_cast<float>(along);
      // Not 0; over 65536 samples of so little, a ray stays in its cell.
      samples_per_cell[i] = static_cast<float>(1.0 / (std::abs(along) > 1e-9 ? along : 1e-9));
    }
    heading = Occupancy::heading(samples_per_cell);
  }

  // How many of `left` samples from the next one on lie in empty space, for all that one look can
  // tell; if none does, whether the next one is doubtful.
  int empty_samples(const Occupancy& occupancy, int left, bool* doubtful) const {
    float position[3], end[3];
    for (int i = 0; i < 3; ++i) position[i] = place[i] + static_cast<float>(next) * stride[i];
    const Occupancy::State state = occupancy.look(position, heading, end);
    *doubtful = state == Occupancy::State::doubtful;
    if (state != Occupancy::State::empty) return 0;
    float inside = static_cast<float>(left - 1);
    for (int i = 0; i < 3; ++i) {
      inside = std::min(inside, (end[i] - position[i]) * samples_per_cell[i]);
    }
    // A position outside the lattice, which counts as at its border, may be past the end.
    return 1 + static_cast<int>(std::max(inside, 0.0f));
  }
};

static_assert(sizeof(RayWalk) == 64, "a cache line");

}  // namespace lrm
