#include "surface_vertices.h"

#include <algorithm>
#include <cmath>

#include "parallel.h"

namespace lrm {
namespace {

// Vertices that a task refines: some milliseconds of work in whole SIMD blocks.
constexpr std::size_t vertices_per_task = 8 * kernel_block;

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
  }

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
};

class Refiner {
 public:
  Refiner(const SurfaceGrid& grid, float threshold, int steps, const Decoder& decoder)
      : grid_(grid),
        steps_(steps),
        decoder_(decoder),
        threshold_(threshold),
        raw_threshold_(decoder.raw_for_density(threshold)) {}

  void refine(const SurfaceEdge* edges, std::size_t n, float* xyz) const {
    std::vector<Bracket> brackets;
    std::vector<EdgePlace> places;
    for (std::size_t i = 0; i < n; ++i) {
      brackets.emplace_back(relative(edges[i].low), relative(edges[i].high));
      places.push_back(place_of(grid_, edges[i]));
    }
    std::vector<float> raw(n);
    write_points(places, brackets, xyz);
    for (int step = 0; step < steps_; ++step) {
      decoder_.raw_density(xyz, n, raw.data());
      for (std::size_t i = 0; i < n; ++i) {
        brackets[i].narrow(keep_off_ends(brackets[i].estimate()), bounded(difference(raw[i])));
      }
      write_points(places, brackets, xyz);
    }
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

  void write_points(const std::vector<EdgePlace>& places, const std::vector<Bracket>& brackets,
                    float* xyz) const {
    for (std::size_t i = 0; i < places.size(); ++i) {
      double fraction = keep_off_ends(brackets[i].estimate());
      border_fraction(places[i], &fraction);
      write_point(grid_, places[i], fraction, xyz + 3 * i);
    }
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
  parallel_for(
      sampler.field().thread_count(), tasks,
      [&](std::size_t task, int) {
        const std::size_t first = task * vertices_per_task;
        const std::size_t count = std::min(vertices_per_task, edges.size() - first);
        refiner.refine(&edges[first], count, &xyz[3 * first]);
      },
      progress);
  sampler.count(edges.size() * static_cast<std::size_t>(steps));
  return xyz;
}

}  // namespace lrm
