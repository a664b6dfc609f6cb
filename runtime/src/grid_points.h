// The points of a cubic grid, line by line.
#pragma once

#include <cstddef>

#include "field_semantics.h"

namespace lrm {

// Writes the n points of the line with the given x and y index, z running. xyz [n, 3].
inline void grid_line(double half, int n, std::size_t line, float* xyz) {
  const float x = grid_coordinate(half, static_cast<int>(line / static_cast<std::size_t>(n)), n);
  const float y = grid_coordinate(half, static_cast<int>(line % static_cast<std::size_t>(n)), n);
  for (int i = 0; i < n; ++i, xyz += 3) {
    xyz[0] = x;
    xyz[1] = y;
    xyz[2] = grid_coordinate(half, i, n);
  }
}

}  // namespace lrm
