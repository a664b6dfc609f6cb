// Where a thin part may hide between the nodes of a coarse sweep.
#pragma once

#include <cstddef>
#include <vector>

#include "surface_grid.h"

namespace lrm {

// A node below the threshold, and the grid point near it where the density is guessed to be above.
struct PeakGuess {
  int node[3];
  int point[3];
};

// Looks at three layers of the sweep at a time: before, the one at tick x, after; [m, m] each for m
// ticks. Through a node and its two neighbours along an axis goes a parabola of log density, exact
// for a Gaussian blob, wire or sheet; what it rises by along the three axes adds up.
class PeakFinder {
 public:
  PeakFinder(float threshold, const std::vector<int>& ticks);

  void look(std::size_t x, const float* before, const float* layer, const float* after);

  std::vector<PeakGuess> take() { return std::move(found_); }

 private:
  struct Rise {
    float log_density;
    float offset;  // in steps, -1 to 1
  };

  // Of the parabola's peak, between the neighbours, over the node.
  static Rise parabola(float below, float node, float above);

  bool even(std::size_t tick) const;
  void look_at(const std::size_t tick[3], const float* along[3][2], float node);

  float threshold_;
  float log_threshold_;
  const std::vector<int>& ticks_;
  std::vector<PeakGuess> found_;
};

}  // namespace lrm
