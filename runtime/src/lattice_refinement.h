// A second, closer look at the cells of a lattice that its nodes leave in doubt.
#pragma once

#include "lattice.h"

namespace lrm {

class Field;
class Progress;

// Lowers lattice.bound where a cell's centre tells enough; fills lattice.block and
// lattice.octant_bound for the cells that stay in doubt.
void refine_lattice(const Field& field, Lattice& lattice, const Progress& progress);

}  // namespace lrm
