#include "frame.h"

#include <cmath>

#include "error.h"

namespace lrm {
namespace {

// A float32 matrix that was composed of a few rotations stays well within this.
constexpr double tolerance = 1e-3;

[[noreturn]] void refuse(const char* name, const char* what) {
  throw Error(LRM_ERROR_INVALID_ARGUMENT,
              "%s: expected a row-major 4x4 of rotation, uniform scale > 0 and translation, got %s",
              name, what);
}

double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

double determinant(const double m[3][3]) {
  return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
         m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
         m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

void check_rotation(const double rotation[3][3], const char* name) {
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      if (std::abs(dot(rotation[i], rotation[j]) - (i == j ? 1.0 : 0.0)) > tolerance) {
        refuse(name, "rows that are not perpendicular and equally long");
      }
    }
  }
}

}  // namespace

Frame Frame::from_matrix(const float* matrix, const char* name) {
  const float last_row[4] = {0.0f, 0.0f, 0.0f, 1.0f};
  for (int i = 0; i < 16; ++i) {
    if (!std::isfinite(matrix[i])) {
      throw Error(LRM_ERROR_NOT_FINITE, "%s[%d]: expected a finite number, got %g", name, i,
                  static_cast<double>(matrix[i]));
    }
  }
  for (int i = 0; i < 4; ++i) {
    if (matrix[12 + i] != last_row[i]) refuse(name, "a last row other than 0 0 0 1");
  }
  Frame frame;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) frame.rotation[i][j] = static_cast<double>(matrix[4 * i + j]);
    frame.translation[i] = static_cast<double>(matrix[4 * i + 3]);
  }
  const double volume = determinant(frame.rotation);
  if (!(volume > 0.0))
    refuse(name, "a determinant that is not positive (a mirrored or flat frame)");
  frame.scale = std::cbrt(volume);
  for (auto& row : frame.rotation) {
    for (double& value : row) value /= frame.scale;
  }
  check_rotation(frame.rotation, name);
  return frame;
}

void Frame::point_to_sdk(const double native[3], double sdk[3]) const {
  direction_to_sdk(native, sdk);
  for (int i = 0; i < 3; ++i) sdk[i] = sdk[i] * scale + translation[i];
}

void Frame::point_to_native(const double sdk[3], double native[3]) const {
  double offset[3];
  for (int i = 0; i < 3; ++i) offset[i] = (sdk[i] - translation[i]) / scale;
  direction_to_native(offset, native);
}

void Frame::direction_to_sdk(const double native[3], double sdk[3]) const {
  for (int i = 0; i < 3; ++i) sdk[i] = dot(rotation[i], native);
}

void Frame::direction_to_native(const double sdk[3], double native[3]) const {
  for (int i = 0; i < 3; ++i) {
    native[i] = rotation[0][i] * sdk[0] + rotation[1][i] * sdk[1] + rotation[2][i] * sdk[2];
  }
}

}  // namespace lrm
