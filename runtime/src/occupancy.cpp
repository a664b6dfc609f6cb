#include "occupancy.h"

#include <algorithm>

namespace lrm {
namespace {

// Farther than this a ray need not jump at once.
constexpr int longest_reach = 12;

using Bytes = std::vector<std::uint8_t>;

// Each cell's largest value among itself and its two neighbours along an axis, `stride` apart:
// lines of n cells, one line per cell of the others.
void spread_along(std::size_t n, std::size_t stride, const Bytes& from, Bytes& to) {
  const std::size_t slab = n * stride;
  for (std::size_t first = 0; first < from.size(); first += slab) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint8_t* middle = &from[first + i * stride];
      const std::uint8_t* before = i > 0 ? middle - stride : middle;
      const std::uint8_t* after = i + 1 < n ? middle + stride : middle;
      std::uint8_t* target = &to[first + i * stride];
      for (std::size_t k = 0; k < stride; ++k) {
        target[k] = std::max(middle[k], std::max(before[k], after[k]));
      }
    }
  }
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
      reach_[cell] = static_cast<std::uint8_t>(reach_[cell] + 1 - occupied[cell]);
    }
    spread_along(n, 1, occupied, grown);
    spread_along(n, n, grown, occupied);
    spread_along(n, n * n, occupied, grown);
    occupied.swap(grown);
  }
}

}  // namespace lrm
