#include "lattice_refinement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "field.h"

namespace lrm {
namespace {

// Lattices of more cells than this are fine enough, and too many to look at twice.
constexpr int most_cells = 64;

// Renders usually ask for the density that makes this opaque over the box's diagonal. One that asks
// for less (a long NEAR_FAR range, unit steps in a small box) finds more cells in doubt than are
// settled here: it skips less, not wrongly.
constexpr double usual_opacity = 1.0 / 1024;

// As lattice_margin_per_curvature; here, where nodes miss less, three times the estimate. On a
// fitted field of TripoSR's size, from six sides, two times left a pixel that was off by 1.9/255,
// three none above 0.3/255.
constexpr float margin_per_bulge = 3.0f / 8.0f;

// The same for a cell of which the centre is known too: there, nodes miss a 20th of what the
// diagonals' second differences add up to. Seven times that, and at least a quarter of the margin
// that the corners and their neighbours asked for: on a fitted field of TripoSR's size, from nine
// sides, the former alone left a pixel that was off by 19/255, an eighth one by 0.4/255, a quarter
// none above 0.3/255.
constexpr float margin_per_centre_bulge = 3.0f / 8.0f;
constexpr float least_share_of_margin = 1.0f / 4.0f;

constexpr float unknown = std::numeric_limits<float>::quiet_NaN();

// Raw density on the lattice's nodes and half-way between them, where some cell needs it.
class FineNodes {
 public:
  explicit FineNodes(const Lattice& lattice)
      : spacing_(0.5f * lattice.spacing),
        extent_(lattice.extent),
        n_(2 * static_cast<std::size_t>(lattice.cells) + 1),
        raw_(n_ * n_ * n_, unknown) {
    const auto coarse = static_cast<std::size_t>(lattice.nodes());
    for (std::size_t x = 0; x < coarse; ++x) {
      for (std::size_t y = 0; y < coarse; ++y) {
        for (std::size_t z = 0; z < coarse; ++z) {
          raw_[index(2 * x, 2 * y, 2 * z)] = lattice.raw[(x * coarse + y) * coarse + z];
        }
      }
    }
  }

  std::size_t index(std::size_t x, std::size_t y, std::size_t z) const {
    return (x * n_ + y) * n_ + z;
  }

  // The 27 nodes of a cell, [3, 3, 3].
  void request(std::size_t x, std::size_t y, std::size_t z) {
    for (std::size_t i = 0; i < 27; ++i) {
      const std::size_t at[3] = {2 * x + i / 9, 2 * y + i / 3 % 3, 2 * z + i % 3};
      float& value = raw_[index(at[0], at[1], at[2])];
      if (!std::isnan(value)) continue;
      value = 0.0f;  // requested once
      wanted_.push_back(index(at[0], at[1], at[2]));
      for (const std::size_t a : at) xyz_.push_back(static_cast<float>(a) * spacing_ - extent_);
    }
  }

  void evaluate(const Field& field, const Progress& progress) {
    std::vector<float> values(wanted_.size());
    field.raw_density_parallel(xyz_.data(), values.size(), values.data(), progress);
    for (std::size_t i = 0; i < wanted_.size(); ++i) raw_[wanted_[i]] = values[i];
  }

  std::array<float, 27> cell(std::size_t x, std::size_t y, std::size_t z) const {
    std::array<float, 27> nodes;
    for (std::size_t i = 0; i < 27; ++i) {
      nodes[i] = raw_[index(2 * x + i / 9, 2 * y + i / 3 % 3, 2 * z + i % 3)];
    }
    return nodes;
  }

 private:
  float spacing_, extent_;
  std::size_t n_;
  std::vector<float> raw_;
  std::vector<std::size_t> wanted_;
  std::vector<float> xyz_;
};

// Sum over the axes of the largest negative second difference: between nodes, a function rises
// above them only where it is concave.
float bulge(const std::array<float, 27>& nodes) {
  float sum = 0.0f;
  for (const std::size_t stride : {std::size_t{9}, std::size_t{3}, std::size_t{1}}) {
    float largest = 0.0f;
    for (std::size_t i = 0; i < 27; ++i) {
      if (i / stride % 3 != 1) continue;
      largest = std::max(largest, 2.0f * nodes[i] - nodes[i - stride] - nodes[i + stride]);
    }
    sum += largest;
  }
  return sum;
}

void append_octants(const std::array<float, 27>& nodes, std::vector<float>* bounds) {
  const float margin = margin_per_bulge * bulge(nodes);
  for (std::size_t octant = 0; octant < 8; ++octant) {
    const std::size_t first = octant / 4 * 9 + octant / 2 % 2 * 3 + octant % 2;
    float largest = nodes[first];
    for (const std::size_t corner : {1, 3, 4, 9, 10, 12, 13}) {
      largest = std::max(largest, nodes[first + corner]);
    }
    bounds->push_back(largest + margin);
  }
}

// The limit for which the lattice is refined.
float usual_limit(const Field& field) {
  const double diagonal = 2.0 * 1.7320508075688772 * static_cast<double>(field.half_extent());
  return field.decoder().raw_for_density(static_cast<float>(usual_opacity / diagonal));
}

// Cells that may or may not be empty: the bound is above the limit, no corner is.
std::vector<std::size_t> doubtful_cells(const Lattice& lattice, float limit) {
  std::vector<std::size_t> cells;
  for (std::size_t cell = 0; cell < lattice.bound.size(); ++cell) {
    if (lattice.bound[cell] > limit && lattice.highest[cell] <= limit) cells.push_back(cell);
  }
  return cells;
}

std::vector<float> centre_values(const Field& field, const Lattice& lattice,
                                 const std::vector<std::size_t>& cells, const Progress& progress) {
  const auto n = static_cast<std::size_t>(lattice.cells);
  std::vector<float> xyz;
  xyz.reserve(3 * cells.size());
  for (const std::size_t cell : cells) {
    for (const std::size_t at : {cell / (n * n), cell / n % n, cell % n}) {
      xyz.push_back((static_cast<float>(at) + 0.5f) * lattice.spacing - lattice.extent);
    }
  }
  std::vector<float> values(cells.size());
  field.raw_density_parallel(xyz.data(), values.size(), values.data(), progress);
  return values;
}

// By how much the centre is above the middle of the cell's four diagonals, where it is.
float centre_bulge(const Lattice& lattice, std::size_t cell, float centre) {
  const auto n = static_cast<std::size_t>(lattice.cells), m = n + 1;
  const float* corner = &lattice.raw[(cell / (n * n) * m + cell / n % n) * m + cell % n];
  const std::size_t far = m * m + m + 1;
  float sum = 0.0f;
  for (const std::size_t near : {std::size_t{0}, std::size_t{1}, m, m + 1}) {
    sum += std::max(2.0f * centre - corner[near] - corner[far - near], 0.0f);
  }
  return sum;
}

// One more sample, in the middle, settles most doubtful cells. Returns those that stay so.
std::vector<std::size_t> probe_centres(const Field& field, Lattice& lattice, float limit,
                                       const Progress& progress) {
  std::vector<std::size_t> cells = doubtful_cells(lattice, limit);
  const std::vector<float> centres = centre_values(field, lattice, cells, progress);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const float corners = lattice.highest[cells[i]];
    const float margin =
        std::max(margin_per_centre_bulge * centre_bulge(lattice, cells[i], centres[i]),
                 least_share_of_margin * (lattice.bound[cells[i]] - corners));
    const float bound = std::max(corners, centres[i]) + margin;
    if (bound > limit) {
      cells[kept++] = cells[i];
    } else {
      lattice.bound[cells[i]] = bound;
    }
  }
  cells.resize(kept);
  return cells;
}

}  // namespace

void refine_lattice(const Field& field, Lattice& lattice, const Progress& progress) {
  lattice.block.assign(lattice.bound.size(), -1);
  if (lattice.cells > most_cells) return;
  const float limit = usual_limit(field);
  const std::vector<std::size_t> doubtful =
      probe_centres(field, lattice, limit, progress.part(0.0f, 0.3f));
  const auto n = static_cast<std::size_t>(lattice.cells);
  FineNodes nodes(lattice);
  for (const std::size_t cell : doubtful) nodes.request(cell / (n * n), cell / n % n, cell % n);
  nodes.evaluate(field, progress.part(0.3f, 1.0f));
  lattice.octant_bound.reserve(8 * doubtful.size());
  std::int32_t blocks = 0;
  for (const std::size_t cell : doubtful) {
    lattice.block[cell] = blocks++;
    append_octants(nodes.cell(cell / (n * n), cell / n % n, cell % n), &lattice.octant_bound);
  }
}

}  // namespace lrm
