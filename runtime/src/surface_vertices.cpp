#include "surface_vertices.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "parallel.h"

namespace lrm {
namespace {

// Vertices that a task refines: some milliseconds of work in whole SIMD blocks.
constexpr std::size_t vertices_per_task = 32 * kernel_block;

// A vertex that an evaluation moves by less than this share of its edge is left there: the secant's
// error falls faster than linearly, so that what remains is a small part of the move.
constexpr double settled_move = 1.0 / 256;

struct EdgePlace {
  int low[3];
  int axis;
  bool low_padding, high_padding;
};

EdgePlace place_of(const SurfaceGrid& grid, const SurfaceEdge& edge) {
  EdgePlace place;
  grid.split_index(edge.index(), place.low);
  place.axis = edge.axis();
  const int along = place.low[place.axis];
  place.low_padding = grid.is_padding(along);
  place.high_padding = grid.is_padding(along + 1);
  return place;
}

void write_point(const SurfaceGrid& grid, const EdgePlace& place, double fraction, float* xyz) {
  for (int axis = 0; axis < 3; ++axis) {
    xyz[axis] = axis == place.axis ? static_cast<float>(grid.coordinate(place.low[axis], fraction))
                                   : grid.coordinate(place.low[axis]);
  }
}

double keep_off_ends(double fraction) {
  return std::clamp(std::isnan(fraction) ? 0.5 : fraction, end_gap, 1.0 - end_gap);
}

// Large finite numbers in place of infinities, whose differences would be NaN.
double bounded(double value) { return std::clamp(value, -1e30, 1e30); }

double linear_fraction(const SurfaceEdge& edge, float threshold) {
  const double low = bounded(edge.low), high = bounded(edge.high);
  return keep_off_ends((static_cast<double>(threshold) - low) / (high - low));
}

// Where an edge to the padding is cut, whatever the densities.
bool border_fraction(const EdgePlace& place, double* fraction) {
  if (place.low_padding) *fraction = 1.0 - border_gap;
  if (place.high_padding) *fraction = border_gap;
  return place.low_padding || place.high_padding;
}

// Raw densities relative to the threshold at two fractions of the edge, of opposite sign.
class Bracket {
 public:
  Bracket(double value_low, double value_high) : value_{value_low, value_high} {}

  double estimate() const {
    const double share = value_[0] / (value_[0] - value_[1]);
    return at_[0] + (at_[1] - at_[0]) * share;
  }

  void narrow(double at, double value) {
    const int same = (value > 0) == (value_[0] > 0) ? 0 : 1;
    if (same == last_) weaken(1 - same, value_[same], value);
    at_[same] = at;
    value_[same] = value;
    last_ = same;
    evaluated_ = at;
  }

  // How far the estimate lies from the last point that was evaluated.
  double last_move() const { return std::abs(estimate() - evaluated_); }

 private:
  // The end that stays a second time is given less weight, by the parabola through the last three
  // points, or by half where that has no use.
  void weaken(int end, double before, double now) {
    const double share = 1.0 - now / before;
    value_[end] *= share > 0.0 ? share : 0.5;
  }

  double at_[2] = {0.0, 1.0};
  double value_[2];
  int last_ = -1;
  double evaluated_ = 0.0;
};

class Refiner {
 public:
  Refiner(const SurfaceGrid& grid, float threshold, int steps, const Decoder& decoder)
      : grid_(grid),
        steps_(steps),
        decoder_(decoder),
        threshold_(threshold),
        raw_threshold_(decoder.raw_for_density(threshold)) {}

  // Returns the number of evaluations.
  std::size_t refine(const SurfaceEdge* edges, std::size_t n, float* xyz) const {
    std::vector<Bracket> brackets;
    std::vector<EdgePlace> places;
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < n; ++i) {
      brackets.emplace_back(relative(edges[i].low), relative(edges[i].high));
      places.push_back(place_of(grid_, edges[i]));
      if (!write_vertex(places[i], brackets[i], xyz + 3 * i)) open.push_back(i);
    }
    std::size_t evaluations = 0;
    for (int step = 0; step < steps_ && !open.empty(); ++step) {
      evaluations += open.size();
      narrow(open, xyz, brackets);
      std::size_t kept = 0;
      for (const std::size_t i : open) {
        write_vertex(places[i], brackets[i], xyz + 3 * i);
        if (brackets[i].last_move() > settled_move) open[kept++] = i;
      }
      open.resize(kept);
    }
    return evaluations;
  }

 private:
  double difference(float raw) const {
    return static_cast<double>(raw) - static_cast<double>(raw_threshold_);
  }

  // A density's raw value relative to the threshold's, with the sign that classified it.
  double relative(float density) const {
    const double value = bounded(difference(decoder_.raw_for_density(density)));
    const double least = 1e-30;
    return density > threshold_ ? std::max(value, least) : std::min(value, -least);
  }

  // Evaluates the open vertices where they are.
  void narrow(const std::vector<std::size_t>& open, const float* xyz,
              std::vector<Bracket>& brackets) const {
    std::vector<float> at(3 * open.size()), raw(open.size());
    for (std::size_t k = 0; k < open.size(); ++k) std::copy_n(xyz + 3 * open[k], 3, &at[3 * k]);
    decoder_.raw_density(at.data(), raw.size(), raw.data());
    for (std::size_t k = 0; k < open.size(); ++k) {
      Bracket& bracket = brackets[open[k]];
      bracket.narrow(keep_off_ends(bracket.estimate()), bounded(difference(raw[k])));
    }
  }

  // Returns whether the border decides where it lies.
  bool write_vertex(const EdgePlace& place, const Bracket& bracket, float* xyz) const {
    double fraction = keep_off_ends(bracket.estimate());
    const bool border = border_fraction(place, &fraction);
    write_point(grid_, place, fraction, xyz);
    return border;
  }

  const SurfaceGrid& grid_;
  int steps_;
  const Decoder& decoder_;
  float threshold_;
  float raw_threshold_;
};

}  // namespace

std::vector<float> interpolate_vertices(const SurfaceGrid& grid, float threshold,
                                        const std::vector<SurfaceEdge>& edges) {
  std::vector<float> xyz(3 * edges.size());
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const EdgePlace place = place_of(grid, edges[i]);
    double fraction = linear_fraction(edges[i], threshold);
    border_fraction(place, &fraction);
    write_point(grid, place, fraction, &xyz[3 * i]);
  }
  return xyz;
}

std::vector<float> refine_vertices(const SurfaceGrid& grid, float threshold, int steps,
                                   const std::vector<SurfaceEdge>& edges, SurfaceSampler& sampler,
                                   const Progress& progress) {
  const Refiner refiner(grid, threshold, steps, sampler.field().decoder());
  std::vector<float> xyz(3 * edges.size());
  const std::size_t tasks = (edges.size() + vertices_per_task - 1) / vertices_per_task;
  std::atomic<std::size_t> evaluations{0};
  parallel_for(
      sampler.field().thread_count(), tasks,
      [&](std::size_t task, int) {
        const std::size_t first = task * vertices_per_task;
        const std::size_t count = std::min(vertices_per_task, edges.size() - first);
        evaluations += refiner.refine(&edges[first], count, &xyz[3 * first]);
      },
      progress);
  sampler.count(evaluations);
  return xyz;
}

}  // namespace lrm
