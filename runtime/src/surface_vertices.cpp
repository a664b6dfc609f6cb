#include "surface_vertices.h"

#include <algorithm>
#include <atomic>

#include "parallel.h"

namespace lrm {
namespace {

// Vertices that a task refines: some milliseconds of work in whole SIMD blocks.
constexpr std::size_t vertices_per_task = 8 * batch_points;

EdgePlace place_of(const SurfaceGrid& grid, const SurfaceEdge& edge) {
  int low[3];
  grid.split_index(edge.index(), low);
  return edge_place(grid, low, edge.axis());
}

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

  double relative(float density) const {
    return relative_raw(difference(decoder_.raw_for_density(density)), density > threshold_);
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
    edge_point(grid_, place, fraction, xyz);
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
    double fraction = linear_fraction(edges[i].low, edges[i].high, threshold);
    border_fraction(place, &fraction);
    edge_point(grid, place, fraction, &xyz[3 * i]);
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
