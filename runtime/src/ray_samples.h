// The sampling of rays that render options ask for.
#pragma once

#include "lrm.h"
#include "ray_sampling.h"

namespace lrm {

inline RaySampling<double> ray_sampling(const lrm_render_options& options, double radius,
                                        double sdk_units_per_native) {
  return {options.sample_count,
          options.ray_range == LRM_RAYS_NEAR_FAR,
          options.step == LRM_STEP_UNIT,
          static_cast<double>(options.box_scale) * radius,
          static_cast<double>(options.near_distance) / sdk_units_per_native,
          static_cast<double>(options.far_distance) / sdk_units_per_native,
          static_cast<double>(options.last_delta)};
}

}  // namespace lrm
