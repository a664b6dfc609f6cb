// The C functions of lrm.h that concern the field and its pictures (meshes: mesh_api.cpp).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "api_guard.h"
#include "field.h"
#include "options.h"
#include "render.h"

namespace lrm {
namespace {

thread_local char last_error[512] = "";

// Sizes of the option structs as they first shipped, for complete_options.
constexpr std::size_t field_options_v1 = sizeof(lrm_field_options);
constexpr std::size_t camera_v1 = sizeof(lrm_camera);
constexpr std::size_t render_options_v1 = sizeof(lrm_render_options);

// Points moved to the native frame at a time: bounds the memory a query takes.
constexpr std::size_t points_per_chunk = 1 << 16;

void points_to_native(const Frame& frame, const float* sdk, std::size_t n, float* native) {
  for (std::size_t i = 0; i < n; ++i) {
    double in[3], out[3];
    for (std::size_t a = 0; a < 3; ++a) in[a] = static_cast<double>(sdk[3 * i + a]);
    frame.point_to_native(in, out);
    for (std::size_t a = 0; a < 3; ++a) native[3 * i + a] = static_cast<float>(out[a]);
  }
}

void query(const Field& field, const float* points, std::size_t n, float* density, float* rgb) {
  std::vector<float> native(3 * std::min(n, points_per_chunk));
  std::vector<float> unused(density == nullptr ? std::min(n, points_per_chunk) : 0);
  for (std::size_t first = 0; first < n; first += points_per_chunk) {
    const std::size_t count = std::min(points_per_chunk, n - first);
    points_to_native(field.frame(), points + 3 * first, count, native.data());
    float* densities = density == nullptr ? unused.data() : density + first;
    if (rgb == nullptr) {
      field.density_parallel(native.data(), count, densities);
    } else {
      field.query_parallel(native.data(), count, densities, rgb + 3 * first);
    }
  }
}

}  // namespace

lrm_status remember(lrm_status status, const char* text) noexcept {
  std::snprintf(last_error, sizeof last_error, "%s", text);
  return status;
}

void require_finite(const float* values, std::size_t count, const char* name) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) {
      throw Error(LRM_ERROR_NOT_FINITE, "%s: expected finite numbers, got %g at index %zu", name,
                  static_cast<double>(values[i]), i);
    }
  }
}

}  // namespace lrm

using namespace lrm;  // the C functions below live outside any namespace

const char* lrm_last_error(void) { return last_error; }

int32_t lrm_version(void) {
  return LRM_VERSION_MAJOR * 10000 + LRM_VERSION_MINOR * 100 + LRM_VERSION_PATCH;
}

const char* lrm_instruction_set(void) { return kernel_in_use().name; }

void lrm_field_options_init(lrm_field_options* options) {
  if (options != nullptr) *options = default_field_options();
}

void lrm_camera_init(lrm_camera* camera) {
  if (camera != nullptr) *camera = default_camera();
}

void lrm_render_options_init(lrm_render_options* options) {
  if (options != nullptr) *options = default_render_options();
}

lrm_status lrm_field_create(const lrm_field_options* options, const float* planes,
                            const float* const* weights, const float* const* biases,
                            lrm_field** field) {
  return guarded([&] {
    require_pointer(field, "field");
    const lrm_field_options complete =
        complete_options(options, default_field_options(), field_options_v1, "options");
    check_field_options(complete);
    check_field_data(complete, planes, weights, biases);
    *field = new lrm_field{{complete, planes, weights, biases}};
  });
}

void lrm_field_destroy(lrm_field* field) { delete field; }

lrm_status lrm_field_query(const lrm_field* field, const float* points, size_t point_count,
                           float* density, float* rgb) {
  return guarded([&] {
    require_pointer(field, "field");
    if (point_count == 0) return;
    require_pointer(points, "points");
    require_finite(points, 3 * point_count, "points");
    if (density != nullptr || rgb != nullptr) {
      query(field->field, points, point_count, density, rgb);
    }
  });
}

lrm_status lrm_field_density_grid(const lrm_field* field, int32_t resolution, float* density,
                                  lrm_progress_fn progress, void* user_data) {
  return guarded([&] {
    require_pointer(field, "field");
    require_pointer(density, "density");
    require_int(resolution, 2, 2048, "resolution");
    field->field.density_grid(resolution, density, Progress(progress, user_data));
  });
}

lrm_status lrm_field_render(const lrm_field* field, const lrm_camera* camera,
                            const lrm_render_options* options, float* rgb, float* alpha,
                            float* depth) {
  return guarded([&] {
    require_pointer(field, "field");
    const lrm_camera complete_camera =
        complete_options(camera, default_camera(), camera_v1, "camera");
    const lrm_render_options complete =
        complete_options(options, default_render_options(), render_options_v1, "options");
    check_camera(complete_camera);
    check_render_options(complete);
    render(field->field, complete_camera, complete, rgb, alpha, depth);
  });
}
