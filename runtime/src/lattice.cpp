#include "lattice.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "field.h"
#include "field_semantics.h"
#include "lattice_refinement.h"

namespace lrm {
namespace {

// As lattice_margin_per_curvature, for the concave part alone: eight times the estimate. On a
// fitted field of TripoSR's size, from nine sides, six times left a pixel that was off by 1.3/255,
// eight none above 0.3/255.
constexpr float margin_per_bulge = 8.0f / 8.0f;

using At = std::array<std::size_t, 3>;

template <class Visit>  // visit(index, node)
void for_nodes(const Lattice& lattice, const Visit& visit) {
  const auto n = static_cast<std::size_t>(lattice.nodes());
  std::size_t index = 0;
  for (std::size_t x = 0; x < n; ++x) {
    for (std::size_t y = 0; y < n; ++y) {
      for (std::size_t z = 0; z < n; ++z) visit(index++, At{x, y, z});
    }
  }
}

// Second differences at the nodes, summed over the axes: their absolute values, and those of the
// negative ones alone.
struct NodeCurvature {
  std::vector<float> bends, bulges;

  explicit NodeCurvature(const Lattice& lattice)
      : bends(lattice.raw.size()), bulges(lattice.raw.size()) {
    const int n = lattice.nodes();
    const long long strides[3] = {static_cast<long long>(n) * n, n, 1};
    for_nodes(lattice, [&](std::size_t node, const At& at) {
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const float difference = node_second_difference(
            &lattice.raw[node], static_cast<int>(at[axis]), n, strides[axis]);
        bends[node] += std::abs(difference);
        bulges[node] += std::max(-difference, 0.0f);
      }
    });
  }
};

// Cells from nodes: the largest of the eight corners.
std::vector<float> corner_maximum(const std::vector<float>& nodes, int cells) {
  const auto n = static_cast<std::size_t>(cells), m = n + 1;
  std::vector<float> maximum(n * n * n);
  for (std::size_t x = 0; x < n; ++x) {
    for (std::size_t y = 0; y < n; ++y) {
      for (std::size_t z = 0; z < n; ++z) {
        const float* corner = &nodes[(x * m + y) * m + z];
        float largest = *corner;
        for (const std::size_t step :
             {std::size_t{1}, m, m + 1, m * m, m * m + 1, m * m + m, m * m + m + 1}) {
          largest = std::max(largest, corner[step]);
        }
        maximum[(x * n + y) * n + z] = largest;
      }
    }
  }
  return maximum;
}

}  // namespace

// One cell per texel, so that nothing a plane can hold falls between nodes; at least 64, because a
// finer lattice wraps objects more closely and 64^3 points are cheap; at most 128 (2 million).
int lattice_cells(const Field& field) {
  const Decoder& decoder = field.decoder();
  return std::clamp(std::max(decoder.plane_width(), decoder.plane_height()), 64, 128);
}

Lattice make_lattice(const Field& field, const Progress& progress) {
  Lattice lattice;
  lattice.cells = lattice_cells(field);
  lattice.extent = field.decoder().constant_beyond();
  lattice.spacing = 2.0f * lattice.extent / static_cast<float>(lattice.cells);
  const auto nodes = static_cast<std::size_t>(lattice.nodes());
  lattice.raw.resize(nodes * nodes * nodes);
  field.grid(static_cast<double>(lattice.extent), lattice.nodes(), false, lattice.raw.data(),
             progress.part(0.0f, 0.5f));
  const NodeCurvature curvature(lattice);
  lattice.margin = corner_maximum(curvature.bends, lattice.cells);
  lattice.highest = corner_maximum(lattice.raw, lattice.cells);
  lattice.bound = corner_maximum(curvature.bulges, lattice.cells);
  for (std::size_t i = 0; i < lattice.bound.size(); ++i) {
    lattice.margin[i] *= lattice_margin_per_curvature;
    lattice.bound[i] = lattice.highest[i] + margin_per_bulge * lattice.bound[i];
  }
  refine_lattice(field, lattice, progress.part(0.5f, 1.0f));
  return lattice;
}

}  // namespace lrm
