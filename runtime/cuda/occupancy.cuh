// Which samples a render may skip: a lattice of raw density over the field, as src/lattice.h says.
#pragma once

#include "field.cuh"

namespace lrm {

// raw       [nodes, nodes, nodes] at -extent + i spacing, nodes = cells + 1
// margin    [cells, cells, cells]: how far off interpolation may be, estimated
// occupied  a bit for each cell, in that order: whether the largest corner + margin is above the
//           limit. The 32 KiB of 64^3 cells stay in the level 1 cache.
struct Occupancy {
  const float* raw;
  const float* margin;
  const unsigned* occupied;
  int cells;
};

// Beyond it the field does not change along an axis: clamping to the lattice covers all of space.
LRM_HOST_DEVICE float lattice_extent() {
  const float columns = constant_beyond(column_map(), plane_width);
  const float rows = constant_beyond(row_map(), plane_height);
  return columns > rows ? columns : rows;
}

LRM_HOST_DEVICE float along(const float* low, long long step, float part) {
  return low[0] + (low[step] - low[0]) * part;
}

LRM_HOST_DEVICE int split_position(float x, float cells_per_unit, int cells, float* part) {
  const float last = static_cast<float>(cells);
  const float position =
      ExactMath::min(ExactMath::max((x + lattice_extent()) * cells_per_unit, 0.0f), last);
  const int cell = position < last ? static_cast<int>(position) : cells - 1;
  *part = position - static_cast<float>(cell);
  return cell;
}

// Whether raw density at a native position may be above the limit, as Lattice::estimate, but for
// the second look at cells in doubt: what that skips is evaluated here.
LRM_HOST_DEVICE bool may_count(const Occupancy& occupancy, const float xyz[3], float limit) {
  const int n = occupancy.cells, m = n + 1;
  const float cells_per_unit = static_cast<float>(n) / (2.0f * lattice_extent());
  float part[3];
  const int x = split_position(xyz[0], cells_per_unit, n, &part[0]);
  const int y = split_position(xyz[1], cells_per_unit, n, &part[1]);
  const int z = split_position(xyz[2], cells_per_unit, n, &part[2]);
  const int cell = (x * n + y) * n + z;
  if (!(occupancy.occupied[cell >> 5] >> (cell & 31) & 1)) return false;
  const float* corner = occupancy.raw + (x * m + y) * m + z;
  const float sides[2][2] = {
      {along(corner, 1, part[2]), along(corner + m, 1, part[2])},
      {along(corner + m * m, 1, part[2]), along(corner + m * m + m, 1, part[2])}};
  const float low = sides[0][0] + (sides[0][1] - sides[0][0]) * part[1];
  const float high = sides[1][0] + (sides[1][1] - sides[1][0]) * part[1];
  return low + (high - low) * part[0] + occupancy.margin[cell] > limit;
}

}  // namespace lrm
