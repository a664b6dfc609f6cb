// The grid of a surface extraction: indices, keys and coordinates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "surface_semantics.h"

namespace lrm {

// The value of the padding around the grid: less than any threshold.
constexpr float padding_value = -std::numeric_limits<float>::infinity();

struct SurfaceGrid : GridShape {
  std::uint64_t index(int x, int y, int z) const {
    const auto s = static_cast<std::uint64_t>(side());
    return (static_cast<std::uint64_t>(x) * s + static_cast<std::uint64_t>(y)) * s +
           static_cast<std::uint64_t>(z);
  }

  void split_index(std::uint64_t index, int xyz[3]) const {
    const auto s = static_cast<std::uint64_t>(side());
    xyz[2] = static_cast<int>(index % s);
    xyz[1] = static_cast<int>(index / s % s);
    xyz[0] = static_cast<int>(index / (s * s));
  }
};

}  // namespace lrm
