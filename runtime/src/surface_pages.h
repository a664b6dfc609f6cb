// Grid values and cell marks where they are needed: pages of 8^3 points, made on first touch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "memory_budget.h"
#include "surface_grid.h"

namespace lrm {

class SurfacePages {
 public:
  SurfacePages(const SurfaceGrid& grid, MemoryBudget& budget);

  // The density at a point that is not padding; NaN until it has been set. Stays in place.
  float& value(int x, int y, int z) { return page(x, y, z).values[slot(x, y, z)]; }

  // Whether this is the first call for the cell.
  bool mark_cell(const int cell[3]);

 private:
  static constexpr int page_bits = 3, page_side = 1 << page_bits;
  static constexpr std::size_t page_points = page_side * page_side * page_side;

  struct Page {
    float values[page_points];
    std::uint64_t marked[page_points / 64];
  };

  static std::size_t slot(int x, int y, int z) {
    const int low = page_side - 1;
    return static_cast<std::size_t>(((x & low) << 2 * page_bits) | ((y & low) << page_bits) |
                                    (z & low));
  }

  Page& page(int x, int y, int z) {
    const auto s = static_cast<std::size_t>(pages_per_axis_);
    const std::size_t index =
        (static_cast<std::size_t>(x >> page_bits) * s + static_cast<std::size_t>(y >> page_bits)) *
            s +
        static_cast<std::size_t>(z >> page_bits);
    return pages_[index] ? *pages_[index] : add_page(index);
  }

  Page& add_page(std::size_t index);

  int pages_per_axis_;
  std::vector<std::unique_ptr<Page>> pages_;  // 1/512 of the grid's points, mostly empty
  std::size_t page_count_ = 0;
  MemoryCharge charge_;
};

}  // namespace lrm
