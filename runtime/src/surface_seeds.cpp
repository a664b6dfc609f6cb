#include "surface_seeds.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "surface_peaks.h"

namespace lrm {
namespace {

// A stretch of a grid line with one end inside; `low` is its lower end.
struct Stretch {
  int low[3];
  int axis;
  int length;
  bool low_inside;
};

class CoarseSweep {
 public:
  CoarseSweep(const SurfaceGrid& grid, float threshold, const std::vector<int>& ticks)
      : grid_(grid), threshold_(threshold), ticks_(ticks), m_(ticks.size()) {}

  // Compares layer x with itself along y and z and, unless it is the last, with the next along x.
  void compare_layer(std::size_t x, const float* layer) {
    for (std::size_t y = 0; y < m_; ++y) {
      for (std::size_t z = 0; z < m_; ++z) {
        const float* value = layer + y * m_ + z;
        const std::size_t tick[3] = {x, y, z};
        if (x + 1 < m_) compare(value, m_ * m_, tick, 0);
        if (y + 1 < m_) compare(value, m_, tick, 1);
        if (z + 1 < m_) compare(value, 1, tick, 2);
      }
    }
  }

  std::vector<Stretch> take() { return std::move(found_); }

 private:
  void compare(const float* value, std::size_t step, const std::size_t tick[3], int axis) {
    const bool low_inside = value[0] > threshold_;
    if (low_inside == (value[step] > threshold_)) return;
    const std::size_t along = tick[axis];
    found_.push_back({{ticks_[tick[0]], ticks_[tick[1]], ticks_[tick[2]]},
                      axis,
                      ticks_[along + 1] - ticks_[along],
                      low_inside});
  }

  const SurfaceGrid& grid_;
  float threshold_;
  const std::vector<int>& ticks_;
  std::size_t m_;
  std::vector<Stretch> found_;
};

struct CoarseFindings {
  std::vector<Stretch> stretches;
  std::vector<PeakGuess> guesses;
};

CoarseFindings sweep_coarsely(const SurfaceGrid& grid, float threshold, int stride,
                              SurfaceSampler& sampler, MemoryBudget& budget,
                              const Progress& progress) {
  const std::vector<int> ticks = sweep_ticks(grid, stride);
  const std::size_t m = ticks.size();
  const LayerSource source = field_layers(grid, ticks, sampler);
  const std::size_t batch = layers_at_a_time(m);
  const MemoryCharge held(budget, (batch + 2) * 5 * m * m * sizeof(float));
  // The layer before the batch, the batch, the layer after it.
  std::vector<float> values((batch + 2) * m * m);
  float* const current = values.data() + m * m;
  CoarseSweep sweep(grid, threshold, ticks);
  PeakFinder peaks(threshold, ticks);
  source(0, 1, current, {});
  for (std::size_t x = 0; x < m; x += batch) {
    const std::size_t count = std::min(batch, m - x);
    const std::size_t ahead = std::min(count, m - 1 - x);
    const float begin = static_cast<float>(x) / static_cast<float>(m);
    const float end = static_cast<float>(x + count) / static_cast<float>(m);
    if (ahead > 0) source(x + 1, ahead, current + m * m, progress.part(begin, end));
    for (std::size_t i = 0; i < count; ++i) {
      const float* layer = current + i * m * m;
      sweep.compare_layer(x + i, layer);
      if (x + i > 0 && x + i + 1 < m) peaks.look(x + i, layer - m * m, layer, layer + m * m);
    }
    std::copy_n(current + (count - 1) * m * m, 2 * m * m, values.data());
  }
  return {sweep.take(), peaks.take()};
}

// From a guess that proves right back to its node leads a path along the axes, one after the other;
// on one of its three legs the surface is crossed.
std::vector<Stretch> proven_stretches(const SurfaceGrid& grid, float threshold,
                                      const std::vector<PeakGuess>& guesses,
                                      SurfaceSampler& sampler) {
  constexpr int corners = 3;  // of each path, the node left out
  std::vector<float> xyz;
  xyz.reserve(guesses.size() * corners * 3);
  for (const PeakGuess& guess : guesses) {
    for (int corner = 0; corner < corners; ++corner) {
      for (int axis = 0; axis < 3; ++axis) {
        xyz.push_back(grid.coordinate(axis < corner ? guess.node[axis] : guess.point[axis]));
      }
    }
  }
  std::vector<float> density(guesses.size() * corners);
  sampler.grid_density(xyz.data(), density.size(), density.data());
  std::vector<Stretch> found;
  for (std::size_t i = 0; i < guesses.size(); ++i) {
    const PeakGuess& guess = guesses[i];
    const float* at = density.data() + i * corners;
    if (!(at[0] > threshold)) continue;
    int leg = 0;  // the corner before the first that is outside, or the last
    while (leg + 1 < corners && at[leg + 1] > threshold) ++leg;
    Stretch s;
    for (int axis = 0; axis < 3; ++axis) {
      s.low[axis] = axis < leg ? guess.node[axis] : guess.point[axis];
    }
    s.axis = leg;
    s.length = std::abs(guess.node[leg] - guess.point[leg]);
    s.low_inside = guess.point[leg] < guess.node[leg];
    s.low[leg] = std::min(guess.node[leg], guess.point[leg]);
    if (s.length > 0) found.push_back(s);
  }
  return found;
}

// One round: samples the middle of every stretch longer than an edge and keeps the half that is
// crossed. Returns whether there was any.
bool halve(const SurfaceGrid& grid, float threshold, SurfaceSampler& sampler,
           std::vector<Stretch>& stretches) {
  std::vector<Stretch*> open;
  std::vector<float> xyz;
  for (Stretch& s : stretches) {
    if (s.length == 1) continue;
    open.push_back(&s);
    for (int axis = 0; axis < 3; ++axis) {
      xyz.push_back(grid.coordinate(s.low[axis] + (axis == s.axis ? s.length / 2 : 0)));
    }
  }
  std::vector<float> density(open.size());
  sampler.grid_density(xyz.data(), density.size(), density.data());
  for (std::size_t i = 0; i < open.size(); ++i) {
    Stretch& s = *open[i];
    const int half = s.length / 2;
    const bool keep_high = (density[i] > threshold) == s.low_inside;
    if (keep_high) s.low[s.axis] += half;
    s.length = keep_high ? s.length - half : half;
  }
  return !open.empty();
}

}  // namespace

std::vector<SurfaceSeed> find_seeds(const SurfaceGrid& grid, float threshold, int stride,
                                    SurfaceSampler& sampler, MemoryBudget& budget,
                                    const Progress& progress) {
  CoarseFindings findings = sweep_coarsely(grid, threshold, stride, sampler, budget, progress);
  std::vector<Stretch>& stretches = findings.stretches;
  const std::vector<Stretch> proven = proven_stretches(grid, threshold, findings.guesses, sampler);
  std::copy(proven.begin(), proven.end(), std::back_inserter(stretches));
  const MemoryCharge held(budget, stretches.size() * (sizeof(Stretch) + sizeof(SurfaceSeed)));
  while (halve(grid, threshold, sampler, stretches)) {
  }
  std::vector<SurfaceSeed> seeds;
  seeds.reserve(stretches.size());
  for (const Stretch& s : stretches) {
    SurfaceSeed seed;
    for (int axis = 0; axis < 3; ++axis) {
      seed.cell[axis] = std::min(s.low[axis], grid.cells() - 1);
    }
    seeds.push_back(seed);
  }
  return seeds;
}

// About 64 samples along an axis: 0.3 million points, and a component must be thinner than 1/64 of
// the box everywhere to escape them, which is a texel of the published models' planes.
int choose_seed_stride(int points) { return std::max((points - 1 + 32) / 64, 1); }

}  // namespace lrm
