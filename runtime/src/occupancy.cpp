#include "occupancy.h"

#include <algorithm>

namespace lrm {
namespace {

// Farther than this a ray need not jump at once.
constexpr int longest_reach = 12;

using Bytes = std::vector<std::uint8_t>;

// Each cell's or of itself and its two neighbours along an axis of n cells, `stride` apart.
void spread_along(std::size_t n, std::size_t stride, const Bytes& from, Bytes& to) {
  const std::size_t slab = n * stride;
  for (std::size_t first = 0; first < from.size(); first += slab) {
    const std::uint8_t* cell = &from[first];
    std::uint8_t* target = &to[first];
    for (std::size_t i = 0; i < stride; ++i) target[i] = cell[i] | cell[i + stride];
    for (std::size_t i = stride; i < slab - stride; ++i) {
      target[i] = cell[i - stride] | cell[i] | cell[i + stride];
    }
    for (std::size_t i = slab - stride; i < slab; ++i) target[i] = cell[i - stride] | cell[i];
  }
}

// Whether upper_bound is above the limit everywhere in the cell.
bool above_everywhere(const Lattice& lattice, std::size_t cell, float limit) {
  if (lattice.block[cell] >= 0) {
    const float* octant = &lattice.octant_bound[8 * static_cast<std::size_t>(lattice.block[cell])];
    return *std::min_element(octant, octant + 8) > limit;
  }
  const auto n = static_cast<std::size_t>(lattice.cells), m = n + 1;
  const float* corner = &lattice.raw[(cell / (n * n) * m + cell / n % n) * m + cell % n];
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{1}, m, m + 1, m * m, m * m + 1, m * m + m, m * m + m + 1}) {
    if (!(corner[at] + lattice.margin[cell] > limit)) return false;
  }
  return true;
}

}  // namespace

// Occupied cells grow by one cell a round; a cell's reach is the rounds until they arrive.
Occupancy::Occupancy(const Lattice& lattice, float raw_limit)
    : lattice_(lattice), raw_limit_(raw_limit), reach_(lattice.bound.size()) {
  const auto n = static_cast<std::size_t>(lattice.cells);
  Bytes occupied(reach_.size()), grown(reach_.size());
  for (std::size_t cell = 0; cell < occupied.size(); ++cell) {
    occupied[cell] = lattice.bound[cell] > raw_limit;
  }
  for (int round = 0; round < longest_reach; ++round) {
    for (std::size_t cell = 0; cell < reach_.size(); ++cell) {
      reach_[cell] = static_cast<std::uint8_t>(reach_[cell] + (occupied[cell] ^ 1));
    }
    spread_along(n, 1, occupied, grown);
    spread_along(n, n, grown, occupied);
    spread_along(n, n * n, occupied, grown);
    occupied.swap(grown);
  }
  for (std::size_t cell = 0; cell < reach_.size(); ++cell) {
    if (reach_[cell] == 0 && above_everywhere(lattice, cell, raw_limit)) reach_[cell] = occupied_;
  }
}

}  // namespace lrm
