#include "lattice.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "field.h"
#include "field_semantics.h"
#include "lattice_refinement.h"
#include "parallel.h"
#include "sizes.h"

namespace lrm {
namespace {

// As lattice_margin_per_curvature, for the concave part alone: eight times the estimate. On a
// fitted field of TripoSR's size, from nine sides, six times left a pixel that was off by 1.3/255,
// eight none above 0.3/255.
constexpr float margin_per_bulge = 8.0f / 8.0f;

// Second differences at the nodes, summed over the axes: their absolute values, and those of the
// negative ones alone.
struct NodeCurvature {
  std::vector<float> bends, bulges;

  explicit NodeCurvature(const Lattice& lattice)
      : bends(lattice.raw.size()), bulges(lattice.raw.size()) {}

  void fill_layer(const Lattice& lattice, std::size_t x) {
    const int n = lattice.nodes();
    const long long strides[3] = {static_cast<long long>(n) * n, n, 1};
    std::size_t node = x * as_size(n) * as_size(n);
    for (int y = 0; y < n; ++y) {
      for (int z = 0; z < n; ++z, ++node) {
        const int at[3] = {static_cast<int>(x), y, z};
        for (int axis = 0; axis < 3; ++axis) {
          const float difference =
              node_second_difference(&lattice.raw[node], at[axis], n, strides[axis]);
          bends[node] += std::abs(difference);
          bulges[node] += std::max(-difference, 0.0f);
        }
      }
    }
  }
};

// Cells from nodes, in the layer at x: the largest of the eight corners.
void corner_maximum(const std::vector<float>& nodes, std::size_t n, std::size_t x,
                    std::vector<float>* cells) {
  const std::size_t m = n + 1;
  for (std::size_t y = 0; y < n; ++y) {
    const float* corner = &nodes[(x * m + y) * m];
    float* cell = &(*cells)[(x * n + y) * n];
    for (std::size_t z = 0; z < n; ++z, ++corner) {
      float largest = *corner;
      for (const std::size_t step :
           {std::size_t{1}, m, m + 1, m * m, m * m + 1, m * m + m, m * m + m + 1}) {
        largest = std::max(largest, corner[step]);
      }
      cell[z] = largest;
    }
  }
}

// The bounds of the cells in the layer at x.
void fill_bounds(const NodeCurvature& curvature, std::size_t x, Lattice* lattice) {
  const auto n = as_size(lattice->cells);
  corner_maximum(curvature.bends, n, x, &lattice->margin);
  corner_maximum(lattice->raw, n, x, &lattice->highest);
  corner_maximum(curvature.bulges, n, x, &lattice->bound);
  for (std::size_t i = x * n * n; i < (x + 1) * n * n; ++i) {
    lattice->margin[i] = lattice_margin_per_curvature * lattice->margin[i] + lattice->slack;
    lattice->bound[i] = lattice->highest[i] + margin_per_bulge * lattice->bound[i] + lattice->slack;
  }
}

// Nodes at which rough values are compared with precise ones: so many everywhere, and as many where
// there is density.
constexpr std::size_t slack_nodes = 1024;

// What the worst of those nodes is off by, times this.
constexpr float slack_per_error = 2.0f;

std::vector<std::size_t> nodes_to_compare(const Lattice& lattice, float limit) {
  std::vector<std::size_t> nodes, dense;
  for (std::size_t i = 0; i < lattice.raw.size(); ++i) {
    if (lattice.raw[i] > limit) dense.push_back(i);
  }
  for (std::size_t i = 0; i < slack_nodes; ++i) {
    nodes.push_back(i * lattice.raw.size() / slack_nodes);
    if (i < dense.size())
      nodes.push_back(dense[i * dense.size() / std::min(slack_nodes, dense.size())]);
  }
  return nodes;
}

float measure_slack(const Field& field, const Lattice& lattice) {
  const std::vector<std::size_t> nodes = nodes_to_compare(lattice, usual_raw_limit(field));
  const auto m = static_cast<std::size_t>(lattice.nodes());
  std::vector<float> xyz;
  xyz.reserve(3 * nodes.size());
  for (const std::size_t node : nodes) {
    for (const std::size_t at : {node / (m * m), node / m % m, node % m}) {
      xyz.push_back(grid_coordinate(static_cast<double>(lattice.extent), static_cast<int>(at),
                                    lattice.nodes()));
    }
  }
  std::vector<float> precise(nodes.size());
  field.raw_density_parallel(xyz.data(), precise.size(), precise.data());
  float worst = 0.0f;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const float error = std::abs(lattice.raw[nodes[i]] - precise[i]);
    if (!std::isfinite(error)) return std::numeric_limits<float>::infinity();
    worst = std::max(worst, error);
  }
  return slack_per_error * worst;
}

}  // namespace

// Renders usually ask for the density that makes this opaque over the box's diagonal.
float usual_raw_limit(const Field& field) {
  constexpr double usual_opacity = 1.0 / 1024;
  const double diagonal = 2.0 * 1.7320508075688772 * static_cast<double>(field.half_extent());
  return field.decoder().raw_for_density(static_cast<float>(usual_opacity / diagonal));
}

// One cell per texel, so that nothing a plane can hold falls between nodes; at least 64, because a
// finer lattice wraps objects more closely and 64^3 points are cheap; at most 128 (2 million).
int lattice_cells(const Field& field) {
  const Decoder& decoder = field.decoder();
  return std::clamp(std::max(decoder.plane_width(), decoder.plane_height()), 64,
                    most_lattice_cells);
}

Lattice make_lattice(const Field& field, const Progress& progress) {
  Lattice lattice;
  lattice.cells = lattice_cells(field);
  lattice.extent = field.decoder().constant_beyond();
  lattice.spacing = 2.0f * lattice.extent / static_cast<float>(lattice.cells);
  const auto cells = as_size(lattice.cells), nodes = as_size(lattice.nodes());
  lattice.raw.resize(nodes * nodes * nodes);
  field.rough_raw_grid(static_cast<double>(lattice.extent), lattice.nodes(), lattice.raw.data(),
                       progress.part(0.0f, 0.5f));
  lattice.slack = measure_slack(field, lattice);
  NodeCurvature curvature(lattice);
  parallel_for(field.thread_count(), nodes,
               [&](std::size_t x, int) { curvature.fill_layer(lattice, x); });
  for (std::vector<float>* values : {&lattice.margin, &lattice.highest, &lattice.bound}) {
    values->resize(cells * cells * cells);
  }
  parallel_for(field.thread_count(), cells,
               [&](std::size_t x, int) { fill_bounds(curvature, x, &lattice); });
  refine_lattice(field, lattice, progress.part(0.5f, 1.0f));
  return lattice;
}

}  // namespace lrm
