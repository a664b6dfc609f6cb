#include "surface_peaks.h"

#include <algorithm>
#include <cmath>

namespace lrm {

PeakFinder::PeakFinder(float threshold, const std::vector<int>& ticks)
    : threshold_(threshold), log_threshold_(std::log(threshold)), ticks_(ticks) {}

void PeakFinder::look(std::size_t x, const float* before, const float* layer, const float* after) {
  const std::size_t m = ticks_.size();
  for (std::size_t y = 1; y + 1 < m; ++y) {
    for (std::size_t z = 1; z + 1 < m; ++z) {
      const std::size_t at = y * m + z;
      if (!(layer[at] > 0.0f) || layer[at] > threshold_) continue;
      const std::size_t tick[3] = {x, y, z};
      const float* along[3][2] = {{before + at, after + at},
                                  {layer + at - m, layer + at + m},
                                  {layer + at - 1, layer + at + 1}};
      look_at(tick, along, layer[at]);
    }
  }
}

void PeakFinder::look_at(const std::size_t tick[3], const float* along[3][2], float node) {
  const float log_node = std::log(node);
  float peak = log_node;
  PeakGuess guess;
  for (int axis = 0; axis < 3; ++axis) {
    const float below = *along[axis][0];
    const float above = *along[axis][1];
    if (below > threshold_ || above > threshold_) return;  // the sweep sees that crossing
    const int here = ticks_[tick[axis]];
    guess.node[axis] = guess.point[axis] = here;
    if (!(below > 0.0f) || !(above > 0.0f) || !even(tick[axis])) continue;
    const Rise rise = parabola(std::log(below), log_node, std::log(above));
    peak += rise.log_density;
    const int step = ticks_[tick[axis] + 1] - here;
    guess.point[axis] += static_cast<int>(std::lround(rise.offset * static_cast<float>(step)));
  }
  const bool elsewhere = !std::equal(guess.node, guess.node + 3, guess.point);
  if (elsewhere && peak > log_threshold_) found_.push_back(guess);
}

PeakFinder::Rise PeakFinder::parabola(float below, float node, float above) {
  const float bend = 2.0f * node - below - above;
  const float tilt = above - below;
  if (!(bend > 0.0f)) return {0.0f, 0.0f};
  const float offset = std::clamp(0.5f * tilt / bend, -1.0f, 1.0f);
  return {0.5f * offset * (tilt - offset * bend), offset};
}

bool PeakFinder::even(std::size_t tick) const {
  return ticks_[tick + 1] - ticks_[tick] == ticks_[tick] - ticks_[tick - 1];
}

}  // namespace lrm
