// A second, closer look at the cells of a lattice that its nodes leave in doubt.
#pragma once

#include "lattice.h"

namespace lrm {

class Field;
class Progress;

// Fills lattice.block and lattice.octant_bound from its other members.
void refine_lattice(const Field& field, Lattice& lattice, const Progress& progress);

}  // namespace lrm
