// Which samples a render may skip.
#pragma once

#include "lattice.h"

namespace lrm {

// Says of positions whether density surely stays below a limit there, by the field's lattice.
class Occupancy {
 public:
  Occupancy(const Lattice& lattice, float raw_limit) : lattice_(lattice), raw_limit_(raw_limit) {}

  bool at(const float xyz[3]) const { return lattice_.upper_bound(xyz, raw_limit_) > raw_limit_; }

 private:
  const Lattice& lattice_;
  float raw_limit_;
};

}  // namespace lrm
