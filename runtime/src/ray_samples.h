// Where the samples of a ray lie and how long each counts, as the render options say.
#pragma once

#include "camera.h"
#include "field_semantics.h"
#include "lrm.h"

namespace lrm {

struct Ray {
  double direction[3];  // unit, native
  double axis_cosine;   // with the viewing axis
  double near, far;     // of the samples, native units
};

class RaySamples {
 public:
  RaySamples(const lrm_render_options& options, double radius, double sdk_units_per_native)
      : count_(options.sample_count),
        near_far_(options.ray_range == LRM_RAYS_NEAR_FAR),
        unit_step_(options.step == LRM_STEP_UNIT),
        half_(static_cast<double>(options.box_scale) * radius),
        near_(static_cast<double>(options.near_distance) / sdk_units_per_native),
        far_(static_cast<double>(options.far_distance) / sdk_units_per_native),
        last_delta_(static_cast<double>(options.last_delta)) {}

  int count() const { return count_; }
  double epsilon() const { return near_far_ ? near_far_epsilon : 0.0; }

  // Sets ray->near and far; false if the ray has no samples.
  bool place(const double origin[3], Ray* ray) const {
    if (!near_far_) return clip_to_box(origin, ray->direction, half_, &ray->near, &ray->far);
    ray->near = near_;
    ray->far = far_;
    return true;
  }

  double distance(const Ray& ray, int k) const {
    return sample_distance(near_far_, ray.near, ray.far, k, count_);
  }

  // The length that sample k counts for, in the units of 1 / density.
  double length(const Ray& ray, int k) const {
    if (unit_step_) return 1.0 / count_;
    if (!near_far_) return (ray.far - ray.near) / count_;
    return k + 1 < count_ ? (ray.far - ray.near) / (count_ - 1) : last_delta_;
  }

  // Whether sample k must be evaluated even where density is tiny: NEAR_FAR's last length is huge.
  bool always_counts(int k) const { return near_far_ && k + 1 == count_; }

  // An upper bound of the sum of all lengths but those that always count.
  double longest() const {
    if (unit_step_) return 1.0;
    return near_far_ ? far_ - near_ : 2.0 * 1.7320508075688772 * half_;  // the box's diagonal
  }

 private:
  int count_;
  bool near_far_;
  bool unit_step_;
  double half_;
  double near_, far_;
  double last_delta_;
};

}  // namespace lrm
