// The cases of marching_cubes_cases.h, made when the library is compiled.
#pragma once

#include "marching_cubes_cases.h"

namespace lrm {

const CellCase& cell_case(int inside_mask);

}  // namespace lrm
