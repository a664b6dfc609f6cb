#include "lattice.h"

#include <algorithm>

#include "field.h"
#include "field_semantics.h"
#include "lattice_refinement.h"

namespace lrm {
namespace {

class Nodes {
 public:
  explicit Nodes(const Lattice& lattice)
      : raw_(lattice.raw), count_(static_cast<std::size_t>(lattice.nodes())) {}

  // Sum over the axes of the absolute second difference at a node.
  float curvature(std::size_t x, std::size_t y, std::size_t z) const {
    const float* value = &raw_[index(x, y, z)];
    const int n = static_cast<int>(count_);
    const auto stride = static_cast<long long>(count_);
    float sum = node_bend(value, static_cast<int>(x), n, stride * stride);
    sum += node_bend(value, static_cast<int>(y), n, stride);
    sum += node_bend(value, static_cast<int>(z), n, 1);
    return sum;
  }

  std::size_t index(std::size_t x, std::size_t y, std::size_t z) const {
    return (x * count_ + y) * count_ + z;
  }

 private:
  const std::vector<float>& raw_;
  std::size_t count_;
};

std::vector<float> node_curvature(const Lattice& lattice) {
  const Nodes nodes(lattice);
  const auto n = static_cast<std::size_t>(lattice.nodes());
  std::vector<float> curvature(lattice.raw.size());
  for (std::size_t x = 0; x < n; ++x) {
    for (std::size_t y = 0; y < n; ++y) {
      for (std::size_t z = 0; z < n; ++z) {
        curvature[nodes.index(x, y, z)] = nodes.curvature(x, y, z);
      }
    }
  }
  return curvature;
}

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
  lattice.margin = corner_maximum(node_curvature(lattice), lattice.cells);
  for (float& margin : lattice.margin) margin *= lattice_margin_per_curvature;
  lattice.bound = corner_maximum(lattice.raw, lattice.cells);
  for (std::size_t i = 0; i < lattice.bound.size(); ++i) lattice.bound[i] += lattice.margin[i];
  refine_lattice(field, lattice, progress.part(0.5f, 1.0f));
  return lattice;
}

}  // namespace lrm
