#include "camera.h"

#include <cmath>

#include "error.h"

namespace lrm {

CameraRays::CameraRays(const lrm_camera& camera, const Frame& native_to_sdk)
    : fx_(static_cast<double>(camera.fx)),
      fy_(static_cast<double>(camera.fy)),
      cx_(static_cast<double>(camera.cx)),
      cy_(static_cast<double>(camera.cy)) {
  const Frame pose = Frame::from_matrix(camera.camera_to_world, "camera.camera_to_world");
  if (std::abs(pose.scale - 1.0) > 1e-3) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "camera.camera_to_world: expected a rigid transform (scale 1), got scale %g",
                pose.scale);
  }
  native_to_sdk.point_to_native(pose.translation, origin_);
  double* const axes[3] = {right_, up_, back_};
  for (int i = 0; i < 3; ++i) {
    const double sdk[3] = {pose.rotation[0][i], pose.rotation[1][i], pose.rotation[2][i]};
    native_to_sdk.direction_to_native(sdk, axes[i]);
  }
}

double CameraRays::direction(int row, int column, double native[3]) const {
  const double x = (column + 0.5 - cx_) / fx_;
  const double y = -(row + 0.5 - cy_) / fy_;
  const double length = std::sqrt(x * x + y * y + 1.0);
  for (int i = 0; i < 3; ++i) native[i] = (x * right_[i] + y * up_[i] - back_[i]) / length;
  return 1.0 / length;
}

}  // namespace lrm
