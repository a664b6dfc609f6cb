// Volume rendering of a field.
#pragma once

#include "field.h"
#include "lrm.h"

namespace lrm {

// Arguments as lrm_field_render, already checked.
void render(const Field& field, const lrm_camera& camera, const lrm_render_options& options,
            float* rgb, float* alpha, float* depth);

}  // namespace lrm
