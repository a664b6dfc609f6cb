// Defaults and checks of a mesh's options and of the buffers that it is copied to.
#pragma once

#include <cstddef>

#include "lrm.h"

namespace lrm {

lrm_mesh_options default_mesh_options();

// Each throws Error that names the argument, what was expected and what came.
void check_mesh_options(const lrm_mesh_options& options);
void check_room(std::size_t room, std::size_t need, const char* name);
void check_computed(bool computed, const float* wanted, const char* name);

}  // namespace lrm
