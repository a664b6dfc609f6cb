// Where the samples of a ray lie and how long each counts: for the C++ and the CUDA stage alike.
#pragma once

#include "field_semantics.h"

namespace lrm {

template <class Real>
struct Ray {
  Real direction[3];  // unit, native
  Real axis_cosine;   // with the viewing axis
  Real near, far;     // of the samples, native units
};

template <class Real>
struct RaySampling {
  int count;
  int near_far;     // 1: LRM_RAYS_NEAR_FAR, 0: LRM_RAYS_BOX
  int unit_step;    // 1: LRM_STEP_UNIT, 0: LRM_STEP_LENGTH
  Real half;        // of the box that rays are clipped to, native units
  Real near, far;   // NEAR_FAR, native units
  Real last_delta;  // NEAR_FAR

  LRM_HOST_DEVICE Real epsilon() const {
    return near_far ? static_cast<Real>(near_far_epsilon) : Real(0);
  }

  // Sets ray->near and far; false if the ray has no samples.
  LRM_HOST_DEVICE bool place(const Real origin[3], Ray<Real>* ray) const {
    if (!near_far) return clip_to_box(origin, ray->direction, half, &ray->near, &ray->far);
    ray->near = near;
    ray->far = far;
    return true;
  }

  LRM_HOST_DEVICE Real distance(const Ray<Real>& ray, int k) const {
    return sample_distance(near_far != 0, ray.near, ray.far, k, count);
  }

  // The length that sample k counts for, in the units of 1 / density.
  LRM_HOST_DEVICE Real length(const Ray<Real>& ray, int k) const {
    if (unit_step) return Real(1) / static_cast<Real>(count);
    if (!near_far) return (ray.far - ray.near) / static_cast<Real>(count);
    return k + 1 < count ? (ray.far - ray.near) / static_cast<Real>(count - 1) : last_delta;
  }

  // Whether sample k must be evaluated even where density is tiny: NEAR_FAR's last length is huge.
  LRM_HOST_DEVICE bool always_counts(int k) const { return near_far && k + 1 == count; }

  // An upper bound of the sum of all lengths but those that always count.
  LRM_HOST_DEVICE Real longest() const {
    if (unit_step) return Real(1);
    // The box's diagonal.
    return near_far ? far - near : static_cast<Real>(2.0 * 1.7320508075688772) * half;
  }
};

}  // namespace lrm
