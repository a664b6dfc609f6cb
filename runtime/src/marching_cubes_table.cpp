#include "marching_cubes_table.h"

namespace lrm {
namespace {

constexpr CaseTable table = make_case_table();

}  // namespace

const CellCase& cell_case(int inside_mask) { return table.cases[inside_mask]; }

}  // namespace lrm
