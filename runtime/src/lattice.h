// A coarse lattice of raw density over the field, for skipping empty space.
//
// Its values are rough where the decoder is faster so; all bounds allow for what that may hide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lrm {

// Raw density (before bias and activation) at nodes -extent + i * spacing on each axis, node
// index (x * nodes + y) * nodes + z, cell index (x * cells + y) * cells + z. Cells that may or may
// not be empty, by what their corners show, get a sample at the centre; those that it leaves in
// doubt are looked at again at twice the resolution.
//
// extent is a little more than the box's half side: beyond it the field no longer changes along
// that axis (zero padding), so that clamping a position to the lattice covers all of space.
struct Lattice {
  int cells = 0;  // per axis; nodes = cells + 1
  float extent = 0.0f;
  float spacing = 0.0f;
  float slack = 0.0f;          // how far off rough values may be
  std::vector<float> raw;      // [nodes, nodes, nodes] rough
  std::vector<float> margin;   // [cells, cells, cells] how far off interpolation may be, estimated
  std::vector<float> highest;  // [cells, cells, cells] largest corner
  std::vector<float> bound;    // [cells, cells, cells] that or, if known, the centre, and how far
                               // values may bulge above: only where they are concave, unlike what
                               // `margin` allows for
  std::vector<std::int32_t> block;  // [cells, cells, cells] the refined cell's place, or -1
  std::vector<float> octant_highest, octant_bound;  // [blocks, 2, 2, 2] the same for each octant

  int nodes() const { return cells + 1; }

  // Where a position lies that is given in cells from the lattice's corner, clamped to it.
  struct Place {
    int at[3];
    float part[3];
    std::size_t cell, node;
  };

  Place place(const float position[3]) const {
    const auto n = static_cast<std::size_t>(cells);
    Place place;
    for (int i = 0; i < 3; ++i) place.at[i] = split(position[i], &place.part[i]);
    const auto x = static_cast<std::size_t>(place.at[0]), y = static_cast<std::size_t>(place.at[1]),
               z = static_cast<std::size_t>(place.at[2]);
    place.cell = (x * n + y) * n + z;
    place.node = (x * (n + 1) + y) * (n + 1) + z;
    return place;
  }

  // Raw density at a place, estimated, and an upper bound, estimated too.
  struct Estimate {
    float raw, bound;
  };

  // The same everywhere in the place's octant if its cell is refined.
  Estimate estimate(const Place& place) const {
    const float* part = place.part;
    if (block[place.cell] >= 0) {
      const int octant = (part[0] >= 0.5f) << 2 | (part[1] >= 0.5f) << 1 | (part[2] >= 0.5f);
      const std::size_t at =
          8 * static_cast<std::size_t>(block[place.cell]) + static_cast<std::size_t>(octant);
      return {octant_highest[at], octant_bound[at]};
    }
    const float value = interpolate(&raw[place.node], part);
    return {value, value + margin[place.cell]};
  }

 private:
  int split(float position, float* part) const {
    const float last = static_cast<float>(cells);
    position = position > 0.0f ? (position < last ? position : last) : 0.0f;
    const int cell = position < last ? static_cast<int>(position) : cells - 1;
    *part = position - static_cast<float>(cell);
    return cell;
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

// The raw density for which a lattice is refined: below it, renders usually skip.
float usual_raw_limit(const Field& field);

constexpr int most_lattice_cells = 128;  // per axis

// Cells per axis of the lattice that make_lattice makes.
int lattice_cells(const Field& field);

Lattice make_lattice(const Field& field, const Progress& progress);

}  // namespace lrm
