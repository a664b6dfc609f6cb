#include "mesh_options.h"

#include "api_guard.h"
#include "options.h"

namespace lrm {
namespace {

void require_positive(float value, const char* name) {
  require_finite_number(value, name);
  if (!(value > 0.0f)) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT, "%s: expected a number > 0, got %g", name,
                static_cast<double>(value));
  }
}

}  // namespace

lrm_mesh_options default_mesh_options() {
  lrm_mesh_options options{};
  options.struct_size = sizeof options;
  options.resolution = 256;
  options.threshold = 10.0f;
  options.refine_steps = 8;
  options.close_border = 1;
  options.normals = 1;
  options.colors = 1;
  return options;
}

void check_mesh_options(const lrm_mesh_options& options) {
  require_int(options.resolution, 2, 2048, "options.resolution");
  require_positive(options.threshold, "options.threshold");
  require_int(options.refine_steps, 0, 16, "options.refine_steps");
  require_int(options.close_border, 0, 1, "options.close_border");
  require_int(options.exhaustive, 0, 1, "options.exhaustive");
  require_int(options.seed_stride, 0, 64, "options.seed_stride");
  require_int(options.normals, 0, 1, "options.normals");
  require_int(options.colors, 0, 1, "options.colors");
}

void check_room(std::size_t room, std::size_t need, const char* name) {
  if (room < need) {
    throw Error(LRM_ERROR_BUFFER_TOO_SMALL, "%s: expected room for %zu, got %zu", name, need, room);
  }
}

void check_computed(bool computed, const float* wanted, const char* name) {
  if (wanted != nullptr && !computed) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "%s: expected NULL, because this mesh was made without; set options.%s to 1", name,
                name);
  }
}

}  // namespace lrm
