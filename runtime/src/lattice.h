// A coarse lattice of raw density over the field, for skipping empty space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lrm {

// Raw density (before bias and activation) at nodes -extent + i * spacing on each axis, node
// index (x * nodes + y) * nodes + z, cell index (x * cells + y) * cells + z. Cells that may or may
// not be empty, by what their corners show, are looked at again at twice the resolution.
//
// extent is a little more than the box's half side: beyond it the field no longer changes along
// that axis (zero padding), so that clamping a position to the lattice covers all of space.
struct Lattice {
  int cells = 0;  // per axis; nodes = cells + 1
  float extent = 0.0f;
  float spacing = 0.0f;
  std::vector<float> raw;      // [nodes, nodes, nodes]
  std::vector<float> margin;   // [cells, cells, cells] how far off interpolation may be, estimated
  std::vector<float> highest;  // [cells, cells, cells] largest corner
  std::vector<float> bound;    // [cells, cells, cells] that, and how far values may bulge above it:
                               // only where they are concave, unlike what `margin` allows for
  std::vector<std::int32_t> block;  // [cells, cells, cells] the refined cell's place, or -1
  std::vector<float> octant_bound;  // [blocks, 2, 2, 2] the same for each octant

  int nodes() const { return cells + 1; }

  // Estimated upper bound of raw density at a native position, anywhere, if it is more than
  // `limit`; else some number not more than it.
  float upper_bound(const float xyz[3], float limit) const {
    float part[3];
    const std::size_t x = split(xyz[0], &part[0]);
    const std::size_t y = split(xyz[1], &part[1]);
    const std::size_t z = split(xyz[2], &part[2]);
    const auto n = static_cast<std::size_t>(cells);
    const std::size_t cell = (x * n + y) * n + z;
    if (!(bound[cell] > limit)) return limit;
    if (block[cell] >= 0) {
      const int octant = (part[0] >= 0.5f) << 2 | (part[1] >= 0.5f) << 1 | (part[2] >= 0.5f);
      return octant_bound[8 * static_cast<std::size_t>(block[cell]) +
                          static_cast<std::size_t>(octant)];
    }
    return interpolate(&raw[(x * (n + 1) + y) * (n + 1) + z], part) + margin[cell];
  }

 private:
  std::size_t split(float x, float* part) const {
    const float last = static_cast<float>(cells);
    float position = (x + extent) / spacing;
    position = position > 0.0f ? (position < last ? position : last) : 0.0f;
    const int cell = position < last ? static_cast<int>(position) : cells - 1;
    *part = position - static_cast<float>(cell);
    return static_cast<std::size_t>(cell);
  }

  float interpolate(const float* corner, const float part[3]) const {
    const auto m = static_cast<std::size_t>(nodes());
    const auto along_z = [&](const float* p) { return p[0] + (p[1] - p[0]) * part[2]; };
    const auto along_y = [&](const float* p) {
      const float low = along_z(p);
      return low + (along_z(p + m) - low) * part[1];
    };
    const float low = along_y(corner);
    return low + (along_y(corner + m * m) - low) * part[0];
  }
};

class Field;
class Progress;

// Cells per axis of the lattice that make_lattice makes.
int lattice_cells(const Field& field);

Lattice make_lattice(const Field& field, const Progress& progress);

}  // namespace lrm
