#include "lattice_refinement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "field.h"
#include "parallel.h"
#include "sizes.h"

namespace lrm {
namespace {

// Lattices of more cells than this are fine enough, and too many to look at twice.
constexpr int most_cells = 64;

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

// A layer of fine nodes has a fixed x: nodes of the lattice and those half-way between them,
// [fine, fine], fine = 2 cells + 1. Only those that some cell needs have a value.
using FineLayer = std::vector<float>;

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

void write_octants(const std::array<float, 27>& nodes, float slack, float* highest, float* bound) {
  const float margin = margin_per_bulge * bulge(nodes) + slack;
  for (std::size_t octant = 0; octant < 8; ++octant) {
    const std::size_t first = octant / 4 * 9 + octant / 2 % 2 * 3 + octant % 2;
    float largest = nodes[first];
    for (const std::size_t corner : {1, 3, 4, 9, 10, 12, 13}) {
      largest = std::max(largest, nodes[first + corner]);
    }
    highest[octant] = largest;
    bound[octant] = largest + margin;
  }
}

// By how much the centre is above the middle of the cell's four diagonals, where it is.
float centre_bulge(const Lattice& lattice, std::size_t cell, float centre) {
  const auto n = as_size(lattice.cells), m = n + 1;
  const float* corner = &lattice.raw[(cell / (n * n) * m + cell / n % n) * m + cell % n];
  const std::size_t far = m * m + m + 1;
  float sum = 0.0f;
  for (const std::size_t near : {std::size_t{0}, std::size_t{1}, m, m + 1}) {
    sum += std::max(2.0f * centre - corner[near] - corner[far - near], 0.0f);
  }
  return sum;
}

// Looks at the cells of a lattice a second time, layer by layer (all with one x), on all threads.
class Refinement {
 public:
  Refinement(const Field& field, Lattice* lattice)
      : field_(field),
        lattice_(*lattice),
        n_(as_size(lattice->cells)),
        fine_(2 * n_ + 1),
        doubtful_(n_),
        layers_(fine_) {}

  void run(const Progress& progress) {
    const int threads = field_.thread_count();
    const float limit = usual_raw_limit(field_);
    parallel_for(
        threads, n_, [&](std::size_t x, int) { probe_centres(x, limit); },
        progress.part(0.0f, 0.3f));
    number_blocks();
    parallel_for(
        threads, fine_, [&](std::size_t x, int) { fill_fine_layer(x); }, progress.part(0.3f, 1.0f));
    parallel_for(threads, n_, [&](std::size_t x, int) { fill_octants(x); });
  }

 private:
  // Cells of a layer that may or may not be empty: the bound is above the limit, no corner is. A
  // render that asks for a lower limit than the usual one (a long NEAR_FAR range, unit steps in a
  // small box) finds more cells in doubt than these: it skips less, not wrongly.
  std::vector<std::size_t> cells_in_doubt(std::size_t x, float limit) const {
    std::vector<std::size_t> cells;
    for (std::size_t cell = x * n_ * n_; cell < (x + 1) * n_ * n_; ++cell) {
      if (lattice_.bound[cell] > limit && lattice_.highest[cell] <= limit) cells.push_back(cell);
    }
    return cells;
  }

  std::vector<float> centre_values(const std::vector<std::size_t>& cells) const {
    std::vector<float> xyz, values(cells.size());
    xyz.reserve(3 * cells.size());
    for (const std::size_t cell : cells) {
      for (const std::size_t at : {cell / (n_ * n_), cell / n_ % n_, cell % n_}) {
        xyz.push_back((static_cast<float>(at) + 0.5f) * lattice_.spacing - lattice_.extent);
      }
    }
    field_.decoder().rough_raw_density(xyz.data(), values.size(), values.data());
    return values;
  }

  // One more sample, in the middle, settles most doubtful cells. Keeps those that stay so.
  void probe_centres(std::size_t x, float limit) {
    const std::vector<std::size_t> cells = cells_in_doubt(x, limit);
    const std::vector<float> centres = centre_values(cells);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const float corners = lattice_.highest[cells[i]];
      const float margin =
          std::max(margin_per_centre_bulge * centre_bulge(lattice_, cells[i], centres[i]),
                   least_share_of_margin * (lattice_.bound[cells[i]] - lattice_.slack - corners));
      const float bound = std::max(corners, centres[i]) + margin + lattice_.slack;
      if (bound > limit) {
        doubtful_[x].push_back(cells[i]);
      } else {
        lattice_.bound[cells[i]] = bound;
      }
    }
  }

  void number_blocks() {
    std::size_t blocks = 0;
    for (const std::vector<std::size_t>& cells : doubtful_) {
      for (const std::size_t cell : cells) {
        lattice_.block[cell] = static_cast<std::int32_t>(blocks++);
      }
    }
    lattice_.octant_highest.resize(8 * blocks);
    lattice_.octant_bound.resize(8 * blocks);
  }

  // Fine nodes (2 y + 0..2, 2 z + 0..2) of a cell.
  template <class Visit>  // visit(place in the layer)
  void for_nine_nodes(std::size_t cell, const Visit& visit) const {
    const std::size_t first = 2 * (cell / n_ % n_) * fine_ + 2 * (cell % n_);
    for (std::size_t y = 0; y < 3; ++y) {
      for (std::size_t z = 0; z < 3; ++z) visit(first + y * fine_ + z);
    }
  }

  // The places in fine layer x, in order, that a cell on one of its sides needs and the lattice
  // does not have.
  std::vector<std::size_t> wanted_nodes(std::size_t x) const {
    std::vector<std::uint8_t> wanted(fine_ * fine_);
    const std::size_t end = std::min(x / 2 + 1, n_);
    for (std::size_t layer = (std::max<std::size_t>(x, 1) - 1) / 2; layer < end; ++layer) {
      for (const std::size_t cell : doubtful_[layer]) {
        for_nine_nodes(cell, [&](std::size_t place) { wanted[place] = 1; });
      }
    }
    std::vector<std::size_t> places;
    for (std::size_t place = 0; place < wanted.size(); ++place) {
      const bool coarse = x % 2 == 0 && place / fine_ % 2 == 0 && place % fine_ % 2 == 0;
      if (wanted[place] != 0 && !coarse) places.push_back(place);
    }
    return places;
  }

  void fill_fine_layer(std::size_t x) {
    const std::vector<std::size_t> places = wanted_nodes(x);
    std::vector<float> xyz, values(places.size());
    xyz.reserve(3 * places.size());
    for (const std::size_t place : places) {
      for (const std::size_t at : {x, place / fine_, place % fine_}) {
        xyz.push_back(static_cast<float>(at) * 0.5f * lattice_.spacing - lattice_.extent);
      }
    }
    field_.decoder().rough_raw_density(xyz.data(), values.size(), values.data());
    layers_[x] = coarse_nodes(x);
    for (std::size_t i = 0; i < places.size(); ++i) layers_[x][places[i]] = values[i];
  }

  // What the lattice has of fine layer x, zero elsewhere.
  FineLayer coarse_nodes(std::size_t x) const {
    FineLayer layer(fine_ * fine_);
    const std::size_t m = n_ + 1;
    for (std::size_t i = 0; x % 2 == 0 && i < m * m; ++i) {
      layer[2 * (i / m) * fine_ + 2 * (i % m)] = lattice_.raw[x / 2 * m * m + i];
    }
    return layer;
  }

  void fill_octants(std::size_t x) {
    for (const std::size_t cell : doubtful_[x]) {
      std::array<float, 27> nodes;
      float* next = nodes.data();
      for (std::size_t i = 0; i < 3; ++i) {
        for_nine_nodes(cell, [&](std::size_t place) { *next++ = layers_[2 * x + i][place]; });
      }
      const std::size_t at = 8 * static_cast<std::size_t>(lattice_.block[cell]);
      write_octants(nodes, lattice_.slack, &lattice_.octant_highest[at],
                    &lattice_.octant_bound[at]);
    }
  }

  const Field& field_;
  Lattice& lattice_;
  std::size_t n_, fine_;
  std::vector<std::vector<std::size_t>> doubtful_;  // [cells] of each layer
  std::vector<FineLayer> layers_;                   // [fine]
};

}  // namespace

void refine_lattice(const Field& field, Lattice& lattice, const Progress& progress) {
  lattice.block.assign(lattice.bound.size(), -1);
  if (lattice.cells <= most_cells) Refinement(field, &lattice).run(progress);
}

}  // namespace lrm
