// A figure for tests and benchmarks, not part of the library's interface.
#pragma once

#include <cstdint>

#include "lrm.h"

// Points that were decoded to make the mesh; 0 for lrm_grid_mesh.
extern "C" LRM_API std::uint64_t lrm_mesh_evaluation_count(const lrm_mesh* mesh);
