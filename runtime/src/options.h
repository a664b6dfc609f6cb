// Defaults and checks of the option structs.
#pragma once

#include "lrm.h"

namespace lrm {

lrm_field_options default_field_options();
lrm_camera default_camera();
lrm_render_options default_render_options();

// Each throws Error that names the argument, what was expected and what came.
void require_finite_number(float value, const char* name);
void require_radius(float radius, const char* name);
void check_field_options(const lrm_field_options& options);
void check_field_data(const lrm_field_options& options, const float* planes,
                      const float* const* weights, const float* const* biases);
void check_layers(const lrm_field_options& options, const float* const* weights,
                  const float* const* biases);
void check_camera(const lrm_camera& camera);
void check_render_options(const lrm_render_options& options);

}  // namespace lrm
