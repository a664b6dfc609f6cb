// The similarity between the model's native frame and the SDK frame.
#pragma once

namespace lrm {

struct Frame {
  double rotation[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};  // native directions -> SDK
  double scale = 1.0;                                         // SDK units per native unit
  double translation[3] = {0, 0, 0};                          // SDK units

  // Throws LRM_ERROR_INVALID_ARGUMENT unless the row-major 4x4 is rotation, uniform positive scale
  // and translation; `name` is the argument's, for the text.
  static Frame from_matrix(const float* matrix, const char* name);

  void point_to_sdk(const double native[3], double sdk[3]) const;
  void point_to_native(const double sdk[3], double native[3]) const;
  void direction_to_sdk(const double native[3], double sdk[3]) const;  // length is kept
  void direction_to_native(const double sdk[3], double native[3]) const;
};

}  // namespace lrm
