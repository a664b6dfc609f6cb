#include "surface_pages.h"

#include <algorithm>
#include <limits>

namespace lrm {
namespace {

// What the allocator adds to a page.
constexpr std::size_t allocation_overhead = 16;

}  // namespace

SurfacePages::SurfacePages(const SurfaceGrid& grid, MemoryBudget& budget)
    : pages_per_axis_((grid.side() + page_side - 1) / page_side), charge_(budget) {
  const auto s = static_cast<std::size_t>(pages_per_axis_);
  charge_.set(s * s * s * sizeof pages_[0]);
  pages_.resize(s * s * s);
}

SurfacePages::Page& SurfacePages::add_page(std::size_t index) {
  charge_.set(pages_.size() * sizeof pages_[0] +
              (page_count_ + 1) * (sizeof(Page) + allocation_overhead));
  pages_[index] = std::make_unique<Page>();
  ++page_count_;
  std::fill_n(pages_[index]->values, page_points, std::numeric_limits<float>::quiet_NaN());
  return *pages_[index];
}

bool SurfacePages::mark_cell(const int cell[3]) {
  const std::size_t bit = slot(cell[0], cell[1], cell[2]);
  std::uint64_t& word = page(cell[0], cell[1], cell[2]).marked[bit / 64];
  const std::uint64_t mask = std::uint64_t{1} << bit % 64;
  const bool first = (word & mask) == 0;
  word |= mask;
  return first;
}

}  // namespace lrm
