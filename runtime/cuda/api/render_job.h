// The record that render.cu reads: one picture's camera and samples, native frame. As
// lrm_sdk/cuda/render.py.
#pragma once

#include <algorithm>

#include "camera.h"
#include "frame.h"
#include "kernels.h"
#include "lrm.h"

namespace lrm {

inline lrm_kernels::RaySampling<double> ray_sampling(const lrm_render_options& options,
                                                     double scale) {
  lrm_kernels::RaySampling<double> sampling{};
  sampling.count = options.sample_count;
  sampling.near_far = options.ray_range == LRM_RAYS_NEAR_FAR;
  sampling.unit_step = options.step == LRM_STEP_UNIT;
  sampling.half =
      static_cast<double>(options.box_scale) * static_cast<double>(lrm_kernels::box_radius);
  sampling.near = static_cast<double>(options.near_distance) / scale;
  sampling.far = static_cast<double>(options.far_distance) / scale;
  sampling.last_delta = static_cast<double>(options.last_delta);
  return sampling;
}

// Throws LRM_ERROR_INVALID_ARGUMENT unless camera_to_world is rigid. `cells` is the lattice's.
inline lrm_kernels::RenderJob render_job(const lrm_camera& camera,
                                         const lrm_render_options& options, const Frame& frame,
                                         int cells) {
  const CameraRays rays(camera, frame);
  lrm_kernels::RenderJob job{};
  std::copy(rays.origin(), rays.origin() + 3, job.origin);
  std::copy(rays.right(), rays.right() + 3, job.right);
  std::copy(rays.up(), rays.up() + 3, job.up);
  std::copy(rays.back(), rays.back() + 3, job.back);
  job.fx = static_cast<double>(camera.fx);
  job.fy = static_cast<double>(camera.fy);
  job.cx = static_cast<double>(camera.cx);
  job.cy = static_cast<double>(camera.cy);
  job.sdk_units_per_native = frame.scale;
  job.sampling = ray_sampling(options, frame.scale);
  job.width = camera.width;
  job.height = camera.height;
  job.skip = options.exhaustive == 0;
  job.density_limit = static_cast<float>(lrm_kernels::skipped_opacity / job.sampling.longest());
  std::copy(options.background, options.background + 3, job.background);
  job.cells = job.skip ? cells : 0;
  return job;
}

}  // namespace lrm
