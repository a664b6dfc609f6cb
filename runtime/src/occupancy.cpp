#include "occupancy.h"

#include <algorithm>

#include "parallel.h"
#include "sizes.h"

namespace lrm {
namespace {

// Farther than this a ray need not jump at once.
constexpr int longest_reach = 250;

using Bytes = std::vector<std::uint8_t>;

// Whether the lattice's estimate is above the limit everywhere in the cell.
bool likely_everywhere(const Lattice& lattice, std::size_t cell, float limit) {
  if (lattice.highest[cell] <= limit || lattice.block[cell] >= 0) return false;
  const auto n = static_cast<std::size_t>(lattice.cells), m = n + 1;
  const float* corner = &lattice.raw[(cell / (n * n) * m + cell / n % n) * m + cell % n];
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{1}, m, m + 1, m * m, m * m + 1, m * m + m, m * m + m + 1}) {
    if (!(corner[at] > limit)) return false;
  }
  return true;
}

// A line of cells along z; `next` are the three lines beside it that come later the way that rays
// go.
void fill_line(const std::uint8_t* empty, const std::uint8_t* const next[3], bool z_rises,
               std::size_t n, std::uint8_t* reach) {
  // With a cell on each side beyond the lattice.
  std::array<std::uint8_t, most_lattice_cells + 2> beside;
  beside[0] = beside[n + 1] = longest_reach;
  for (std::size_t z = 0; z < n; ++z) {
    beside[z + 1] = std::min(next[0][z], std::min(next[1][z], next[2][z]));
  }
  const std::uint8_t* later = beside.data() + (z_rises ? 2 : 0);
  for (std::size_t z = 0; z < n; ++z) reach[z] = std::min(beside[z + 1], later[z]);
  int last = longest_reach;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t z = z_rises ? n - 1 - i : i;
    last = std::min(std::min<int>(last, reach[z]) + 1, longest_reach) * empty[z];
    reach[z] = static_cast<std::uint8_t>(last);
  }
}

// A cell's cube is larger by one than the smallest of the seven that begin one cell later along one
// or more axes.
Bytes reach_of(const Bytes& empty, std::size_t n, int heading) {
  const bool x_rises = (heading & 4) != 0, y_rises = (heading & 2) != 0;
  const Bytes beyond(n, longest_reach);
  Bytes reach(empty.size());
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t x = x_rises ? n - 1 - i : i, later_x = x_rises ? x + 1 : x - 1;
    for (std::size_t j = 0; j < n; ++j) {
      const std::size_t y = y_rises ? n - 1 - j : j, later_y = y_rises ? y + 1 : y - 1;
      const std::uint8_t* const next[3] = {
          i > 0 ? &reach[(later_x * n + y) * n] : beyond.data(),
          j > 0 ? &reach[(x * n + later_y) * n] : beyond.data(),
          i > 0 && j > 0 ? &reach[(later_x * n + later_y) * n] : beyond.data()};
      const std::size_t line = (x * n + y) * n;
      fill_line(&empty[line], next, (heading & 1) != 0, n, &reach[line]);
    }
  }
  return reach;
}

}  // namespace

Occupancy::Occupancy(const Lattice& lattice, float raw_limit, int threads)
    : lattice_(lattice), raw_limit_(raw_limit) {
  Bytes empty(lattice.bound.size());
  std::vector<std::size_t> likely;
  for (std::size_t cell = 0; cell < empty.size(); ++cell) {
    empty[cell] = lattice.bound[cell] <= raw_limit;
    if (likely_everywhere(lattice, cell, raw_limit)) likely.push_back(cell);
  }
  parallel_for(threads, reach_.size(), [&](std::size_t heading, int) {
    Bytes& reach = reach_[heading];
    reach = reach_of(empty, as_size(lattice.cells), static_cast<int>(heading));
    for (const std::size_t cell : likely) reach[cell] = likely_;
  });
}

}  // namespace lrm
