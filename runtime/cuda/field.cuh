// The field as compile-time constants: the LRM_... macros come before this file (lrm_sdk/cuda/
// specialization.py writes them from an engine's field).
//
//   LRM_CHANNELS, LRM_PLANE_HEIGHT, LRM_PLANE_WIDTH   C, H, W of the planes
//   LRM_AXES          six numbers 0..2: {along width, along height} of each plane
//   LRM_RADIUS        half-extent of the box, native units
//   LRM_ALIGN_CORNERS 0 or 1
//   LRM_HIDDEN        the layers' width: the widest one's, a multiple of 8, narrower ones padded
//                     with zeros, which both activations keep; 4 if there is one layer only
//   LRM_HIDDEN_LAYERS layers of LRM_HIDDEN x LRM_HIDDEN
//   LRM_LINEAR        1 if there is one layer only: its products are density and colour
//   LRM_ACTIVATION, LRM_DENSITY_ACTIVATION, LRM_OUTSIDE   as lrm.h numbers them
//   LRM_DENSITY_BIAS, LRM_COLOR_WIDEN
//   LRM_PRECISION     of what is decoded many points at a time: 0 float32, 1 float16 and 2 bfloat16
//   on
//                     tensor cores. With 1 and 2 LRM_HIDDEN is a multiple of 32, and there is a
//                     layer after the first
//
// As on the CPU (src/decoder.cpp) the planes hold texels that have passed the first layer, with a
// border of one zero texel, channel-last: [3, H + 2, W + 2, LRM_HIDDEN]. The layer's bias is added
// to the first plane, border included: bilinear weights sum to 1. fold_planes.cu makes them.
#pragma once

#include "platform.cuh"

namespace lrm {

constexpr int channels = LRM_CHANNELS;
constexpr int plane_height = LRM_PLANE_HEIGHT, plane_width = LRM_PLANE_WIDTH;
constexpr int hidden = LRM_HIDDEN;
constexpr int hidden_layers = LRM_HIDDEN_LAYERS;
constexpr bool linear = LRM_LINEAR;
constexpr bool empty_outside = LRM_OUTSIDE == 1;
constexpr float box_radius = LRM_RADIUS;

constexpr int row_stride = (plane_width + 2) * hidden;
constexpr int plane_stride = (plane_height + 2) * row_stride;

static_assert(!linear || LRM_PRECISION == 0, "see LRM_PRECISION");
static_assert(linear ? hidden == 4 && hidden_layers == 0 : hidden % 8 == 0, "see LRM_HIDDEN");

// -- Parameters -----------------------------------------------------------------------------------

// Rows of a matrix computed together: panels are [hidden / 8, hidden inputs, 8].
constexpr int panel_rows = 8;

// Where things lie among the layers' floats, in this order: for every hidden layer its panels,
// those of its transpose, and its bias; the last layer [hidden, 4] and its bias [4]. A linear field
// has none.
constexpr int layer_stride = 2 * hidden * hidden + hidden;
constexpr int transposed_offset = hidden * hidden;
constexpr int bias_offset = 2 * hidden * hidden;

LRM_HOST_DEVICE constexpr int layer_offset(int layer) { return layer * layer_stride; }
LRM_HOST_DEVICE constexpr int last_offset() { return layer_offset(hidden_layers); }

// Device memory, aligned to 16 bytes.
struct FieldData {
  const float* planes;
  const float* layers;
};

// -- Where a point falls --------------------------------------------------------------------------

// Axis along the width (k = 0) or height (k = 1) of a plane.
LRM_HOST_DEVICE constexpr int plane_axis(int plane, int k) {
  constexpr int axes[6] = {LRM_AXES};
  return axes[2 * plane + k];
}

LRM_HOST_DEVICE TexelMap column_map() {
  return texel_map(plane_width, box_radius, LRM_ALIGN_CORNERS);
}
LRM_HOST_DEVICE TexelMap row_map() {
  return texel_map(plane_height, box_radius, LRM_ALIGN_CORNERS);
}

// A point's four texels on each plane: the first one's offset in the planes, and how far the point
// lies beyond it.
struct Location {
  int offset[3];
  float row[3], column[3];
};

// The lower of the two texels that a clamped coordinate interpolates between, in [-1, size - 1].
LRM_HOST_DEVICE int base_texel(float texel, int size, float* fraction) {
  int base = static_cast<int>(texel);  // rounds towards zero
  base -= static_cast<float>(base) > texel;
  base -= base >= size;
  *fraction = texel - static_cast<float>(base);
  return base;
}

LRM_HOST_DEVICE Location locate(const float xyz[3]) {
  const TexelMap columns = column_map(), rows = row_map();
  Location at;
  LRM_UNROLL
  for (int plane = 0; plane < 3; ++plane) {
    const float column = clamp_texel<ExactMath>(
        xyz[plane_axis(plane, 0)] * columns.scale + columns.offset, plane_width);
    const float row =
        clamp_texel<ExactMath>(xyz[plane_axis(plane, 1)] * rows.scale + rows.offset, plane_height);
    const int c = base_texel(column, plane_width, &at.column[plane]);
    const int r = base_texel(row, plane_height, &at.row[plane]);
    // The border shifts texel (-1, -1) to storage position (0, 0).
    at.offset[plane] = plane * plane_stride + (r + 1) * row_stride + (c + 1) * hidden;
  }
  return at;
}

}  // namespace lrm
