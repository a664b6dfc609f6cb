#include "options.h"

#include <cmath>
#include <cstdio>

#include "api_guard.h"
#include "decoder_kernel.h"

namespace lrm {

void require_finite_number(float value, const char* name) {
  if (!std::isfinite(value)) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT, "%s: expected a finite number, got %g", name,
                static_cast<double>(value));
  }
}

namespace {

// Wider layers and larger planes than any published model by far; keeps index arithmetic in range.
constexpr int max_width = 8192;
constexpr int max_plane_side = 4096;
constexpr int max_channels = 1024;
constexpr long long max_plane_floats = 1LL << 30;

void set_identity(float matrix[16]) {
  for (int i = 0; i < 16; ++i) matrix[i] = i % 5 == 0 ? 1.0f : 0.0f;
}

void require_above(float value, float low, const char* name) {
  require_finite_number(value, name);
  if (!(value > low)) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT, "%s: expected a number > %g, got %g", name,
                static_cast<double>(low), static_cast<double>(value));
  }
}

void require_at_least(float value, float low, const char* name) {
  require_finite_number(value, name);
  if (!(value >= low)) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT, "%s: expected a number >= %g, got %g", name,
                static_cast<double>(low), static_cast<double>(value));
  }
}

void check_planes_shape(const lrm_field_options& o) {
  const int least = o.align_corners == 1 ? 2 : 1;
  require_int(o.plane_channels, 1, max_channels, "options.plane_channels");
  require_int(o.plane_height, least, max_plane_side, "options.plane_height");
  require_int(o.plane_width, least, max_plane_side, "options.plane_width");
  const long long floats =
      (o.plane_height + 2LL) * (o.plane_width + 2LL) * (o.plane_channels + kernel_max_lanes);
  if (floats > max_plane_floats) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "options: expected planes of at most 2^30 numbers each, got %d x %d x %d",
                o.plane_channels, o.plane_height, o.plane_width);
  }
}

void check_axes(const lrm_field_options& o) {
  for (int plane = 0; plane < 3; ++plane) {
    for (int i = 0; i < 2; ++i) {
      char name[48];
      std::snprintf(name, sizeof name, "options.axes[%d][%d]", plane, i);
      require_int(o.axes[plane][i], 0, 2, name);
    }
  }
}

void check_layer_widths(const lrm_field_options& o) {
  require_int(o.layer_count, 1, kernel_max_layers, "options.layer_count");
  require_pointer(o.layer_widths, "options.layer_widths");
  for (int i = 0; i <= o.layer_count; ++i) {
    char name[48];
    std::snprintf(name, sizeof name, "options.layer_widths[%d]", i);
    require_int(o.layer_widths[i], 1, max_width, name);
  }
  const bool concat = o.reduction == LRM_REDUCTION_CONCAT;
  const int features = concat ? 3 * o.plane_channels : o.plane_channels;
  if (o.layer_widths[0] != features) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "options.layer_widths[0]: expected %d (%s plane_channels %d), got %d", features,
                concat ? "concat: 3 x" : "sum or mean:", o.plane_channels, o.layer_widths[0]);
  }
  if (o.layer_widths[o.layer_count] != 4) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "options.layer_widths[%d]: expected 4 (density, red, green, blue), got %d",
                o.layer_count, o.layer_widths[o.layer_count]);
  }
}

}  // namespace

lrm_field_options default_field_options() {
  lrm_field_options options{};
  options.struct_size = sizeof options;
  const int32_t axes[3][2] = {{0, 1}, {0, 2}, {1, 2}};
  for (int plane = 0; plane < 3; ++plane) {
    for (int i = 0; i < 2; ++i) options.axes[plane][i] = axes[plane][i];
  }
  options.radius = 1.0f;
  set_identity(options.native_to_sdk);
  return options;
}

lrm_camera default_camera() {
  lrm_camera camera{};
  camera.struct_size = sizeof camera;
  set_identity(camera.camera_to_world);
  camera.camera_to_world[11] = 3.0f;
  return camera;
}

lrm_render_options default_render_options() {
  lrm_render_options options{};
  options.struct_size = sizeof options;
  options.sample_count = 128;
  options.box_scale = 1.0f;
  options.last_delta = 1e10f;
  for (float& channel : options.background) channel = 1.0f;
  return options;
}

// Beyond these, float32 coordinates overflow at the border or lose digits as denormals.
void require_radius(float radius, const char* name) {
  constexpr float least = 1e-30f, most = 1e30f;
  if (!(radius >= least && radius <= most)) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT, "%s: expected %g to %g, got %g", name,
                static_cast<double>(least), static_cast<double>(most), static_cast<double>(radius));
  }
}

void check_field_options(const lrm_field_options& o) {
  require_int(o.align_corners, 0, 1, "options.align_corners");
  require_int(o.reduction, 0, LRM_REDUCTION_MEAN, "options.reduction");
  require_int(o.activation, 0, LRM_ACTIVATION_SILU, "options.activation");
  require_int(o.density_activation, 0, LRM_DENSITY_SOFTPLUS, "options.density_activation");
  require_int(o.outside, 0, LRM_OUTSIDE_EMPTY, "options.outside");
  require_int(o.thread_count, 0, 1024, "options.thread_count");
  require_radius(o.radius, "options.radius");
  require_finite_number(o.density_bias, "options.density_bias");
  require_at_least(o.color_widen, 0.0f, "options.color_widen");
  check_planes_shape(o);
  check_axes(o);
  check_layer_widths(o);
}

void check_field_data(const lrm_field_options& o, const float* planes, const float* const* weights,
                      const float* const* biases) {
  require_pointer(planes, "planes");
  const std::size_t texels =
      static_cast<std::size_t>(o.plane_height) * static_cast<std::size_t>(o.plane_width);
  require_finite(planes, 3 * static_cast<std::size_t>(o.plane_channels) * texels, "planes");
  check_layers(o, weights, biases);
}

void check_layers(const lrm_field_options& o, const float* const* weights,
                  const float* const* biases) {
  require_pointer(weights, "weights");
  require_pointer(biases, "biases");
  for (int i = 0; i < o.layer_count; ++i) {
    char name[48];
    const auto inputs = static_cast<std::size_t>(o.layer_widths[i]);
    const auto outputs = static_cast<std::size_t>(o.layer_widths[i + 1]);
    std::snprintf(name, sizeof name, "weights[%d]", i);
    require_pointer(weights[i], name);
    require_finite(weights[i], inputs * outputs, name);
    std::snprintf(name, sizeof name, "biases[%d]", i);
    if (biases[i] != nullptr) require_finite(biases[i], outputs, name);
  }
}

void check_camera(const lrm_camera& camera) {
  require_above(camera.fx, 0.0f, "camera.fx");
  require_above(camera.fy, 0.0f, "camera.fy");
  require_finite_number(camera.cx, "camera.cx");
  require_finite_number(camera.cy, "camera.cy");
  require_int(camera.width, 1, 16384, "camera.width");
  require_int(camera.height, 1, 16384, "camera.height");
}

void check_render_options(const lrm_render_options& o) {
  require_int(o.ray_range, 0, LRM_RAYS_NEAR_FAR, "options.ray_range");
  require_int(o.step, 0, LRM_STEP_UNIT, "options.step");
  require_int(o.exhaustive, 0, 1, "options.exhaustive");
  for (const float channel : o.background) require_finite_number(channel, "options.background");
  const bool near_far = o.ray_range == LRM_RAYS_NEAR_FAR;
  require_int(o.sample_count, near_far ? 2 : 1, 65536, "options.sample_count");
  if (!near_far) {
    require_above(o.box_scale, 0.0f, "options.box_scale");
    if (o.box_scale > 1.0f) {
      throw Error(LRM_ERROR_INVALID_ARGUMENT, "options.box_scale: expected at most 1, got %g",
                  static_cast<double>(o.box_scale));
    }
    return;
  }
  if (o.step != LRM_STEP_LENGTH) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "options.step: NEAR_FAR rays take LRM_STEP_LENGTH (0), got %d", o.step);
  }
  require_at_least(o.near_distance, 0.0f, "options.near_distance");
  require_finite_number(o.far_distance, "options.far_distance");
  if (!(o.far_distance > o.near_distance)) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "options.far_distance: expected more than near_distance (%g), got %g",
                static_cast<double>(o.near_distance), static_cast<double>(o.far_distance));
  }
  require_at_least(o.last_delta, 0.0f, "options.last_delta");
}

}  // namespace lrm
