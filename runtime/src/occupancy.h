// Which samples a render may skip.
#pragma once

#include <cstdint>
#include <vector>

#include "lattice.h"

namespace lrm {

// Says of positions whether density surely stays below a limit there, by the field's lattice, and
// how far around it does.
class Occupancy {
 public:
  Occupancy(const Lattice& lattice, float raw_limit);

  const Lattice& lattice() const { return lattice_; }
  float raw_limit() const { return raw_limit_; }

  // 0: density may be above the limit at this position, in cells from the lattice's corner.
  // n > 0: it is not, nor anywhere less than n - 1 cells away along each axis.
  int empty_reach(const float position[3]) const {
    const Lattice::Place place = lattice_.place(position);
    const int reach = reach_[place.cell];
    if (reach == occupied_) return 0;
    if (reach > 0) return reach;
    return lattice_.upper_bound(place) > raw_limit_ ? 0 : 1;
  }

 private:
  const Lattice& lattice_;
  float raw_limit_;
  std::vector<std::uint8_t> reach_;  // [cells, cells, cells] 0 where the position decides
  static constexpr std::uint8_t occupied_ = 255;
};

}  // namespace lrm
