// A coarse lattice of raw density over the field, for skipping empty space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lrm {

// Raw density (before bias and activation) at nodes -extent + i * spacing on each axis, node
// index (x * nodes + y) * nodes + z; and, per cell between 8 nodes, an estimate of the largest raw
// density in it.
//
// extent is a little more than the box's half side: beyond it the field no longer changes along
// that axis (zero padding), so that clamping a position to the lattice covers all of space.
struct Lattice {
  int cells = 0;  // per axis; nodes = cells + 1
  float extent = 0.0f;
  float spacing = 0.0f;
  std::vector<float> raw;    // [nodes, nodes, nodes]
  std::vector<float> bound;  // [cells, cells, cells]

  int nodes() const { return cells + 1; }

  // Cell index of a native position, anywhere.
  std::size_t cell_at(const float xyz[3]) const {
    return (axis_cell(xyz[0]) * static_cast<std::size_t>(cells) + axis_cell(xyz[1])) *
               static_cast<std::size_t>(cells) +
           axis_cell(xyz[2]);
  }

 private:
  std::size_t axis_cell(float x) const {
    const float position = (x + extent) / spacing;
    const float last = static_cast<float>(cells - 1);
    return static_cast<std::size_t>(position > 0.0f ? (position < last ? position : last) : 0.0f);
  }
};

}  // namespace lrm
