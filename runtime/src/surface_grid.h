// The grid of a surface extraction: indices, keys and coordinates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "grid_points.h"

namespace lrm {

// The value of the padding around the grid: less than any threshold.
constexpr float padding_value = -std::numeric_limits<float>::infinity();

// `points` per axis, with a layer of padding on every side if `pad` is 1 (it closes surfaces at the
// box face). Indices count the padding: 0 .. side() - 1.
struct SurfaceGrid {
  int points;
  int pad;
  double half;  // half-extent of the points, native units

  int side() const { return points + 2 * pad; }
  int cells() const { return side() - 1; }
  double cell_size() const { return 2.0 * half / (points - 1); }

  bool is_padding(int i) const { return i < pad || i >= pad + points; }
  bool is_padding(int x, int y, int z) const {
    return is_padding(x) || is_padding(y) || is_padding(z);
  }

  // Exactly the coordinate that lrm_field_density_grid uses.
  float coordinate(int i) const { return grid_coordinate(half, i - pad, points); }

  // At a fraction of the way from index i to i + 1.
  double coordinate(int i, double fraction) const {
    return -half + 2.0 * half * (i - pad + fraction) / (points - 1);
  }

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
