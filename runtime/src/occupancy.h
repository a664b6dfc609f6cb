// Which samples a render may skip.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lattice.h"

namespace lrm {

// Says of positions, by the field's lattice, whether density surely stays below a limit there, and
// how far around it does.
class Occupancy {
 public:
  Occupancy(const Lattice& lattice, float raw_limit, int threads);

  const Lattice& lattice() const { return lattice_; }
  float raw_limit() const { return raw_limit_; }

  enum class State { empty, doubtful, likely };

  // The way that a ray goes: a bit for each axis along which it does not fall, x the highest.
  static int heading(const float direction[3]) {
    return (direction[0] >= 0.0f) << 2 | (direction[1] >= 0.0f) << 1 | (direction[2] >= 0.0f);
  }

  // Positions in cells from the lattice's corner.
  //
  // Empty: density is below the limit, from the position on up to the coordinates `end`, one for
  // each axis, of which the ray meets one first. Likely: the lattice's estimate is above the limit.
  // Doubtful: only what the estimate may be off by is.
  State look(const float position[3], int heading, float end[3]) const {
    const Lattice::Place place = lattice_.place(position);
    const int reach = reach_[static_cast<std::size_t>(heading)][place.cell];
    if (reach == likely_) return State::likely;
    if (reach > 0) {
      for (int i = 0; i < 3; ++i) end[i] = side(place.at[i], rises(heading, i) ? reach : 1 - reach);
      return State::empty;
    }
    const Lattice::Estimate estimate = lattice_.estimate(place);
    if (!(estimate.bound <= raw_limit_)) {  // NaN hides nothing
      return estimate.raw > raw_limit_ ? State::likely : State::doubtful;
    }
    const bool refined = lattice_.block[place.cell] >= 0;
    for (int i = 0; i < 3; ++i) {
      // Not farther than the position if its cell is not the same everywhere.
      const float low = static_cast<float>(place.at[i]) + (place.part[i] < 0.5f ? 0.0f : 0.5f);
      end[i] = refined ? low + (rises(heading, i) ? 0.5f : 0.0f) : position[i];
    }
    return State::empty;
  }

 private:
  static bool rises(int heading, int axis) { return (heading >> (2 - axis) & 1) != 0; }

  // A side of a cell or of one some cells away. Beyond the lattice everything is as at its border.
  float side(int at, int offset) const {
    constexpr float far = 1e30f;
    const int place = at + offset;
    return place <= 0 ? -far : place >= lattice_.cells ? far : static_cast<float>(place);
  }

  const Lattice& lattice_;
  float raw_limit_;
  // For each heading [cells, cells, cells]. 0: the position decides. n: the cube of n cells along
  // each axis that begins with this one, the way the ray goes, is empty.
  std::array<std::vector<std::uint8_t>, 8> reach_;
  static constexpr std::uint8_t likely_ = 255;
};

}  // namespace lrm
