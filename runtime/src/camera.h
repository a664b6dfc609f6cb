// A camera's rays in the native frame of a field.
#pragma once

#include "frame.h"
#include "lrm.h"

namespace lrm {

class CameraRays {
 public:
  // Throws LRM_ERROR_INVALID_ARGUMENT unless camera_to_world is rigid.
  CameraRays(const lrm_camera& camera, const Frame& native_to_sdk);

  const double* origin() const { return origin_; }  // native

  // The camera's axes, native.
  const double* right() const { return right_; }
  const double* up() const { return up_; }
  const double* back() const { return back_; }

  // Unit direction through the centre of a pixel, native. Returns its cosine with the viewing axis.
  double direction(int row, int column, double native[3]) const;

 private:
  double origin_[3];
  double right_[3], up_[3], back_[3];
  double fx_, fy_, cx_, cy_;
};

}  // namespace lrm
