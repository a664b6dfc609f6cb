// Pass 2 of render.cpp for one tile of a picture.
#pragma once

#include "camera.h"
#include "field.h"
#include "occupancy.h"
#include "ray_samples.h"

namespace lrm {

// Pixels of a tile's side: 256 rays fill several decoder blocks even with few samples each.
constexpr int tile_side = 16;

struct Picture {
  int width, height;
  float *rgb, *alpha, *depth;  // each may be NULL
  const float* background;
  double sdk_units_per_native;
};

// What all tiles share.
struct Scene {
  const Field& field;
  const CameraRays& camera;
  const RaySampling<double>& samples;
  const Occupancy* occupancy;  // NULL: evaluate every sample of every ray
};

// The pixels from (first_row, first_column) on that are in the picture, on the calling thread.
void render_tile(const Scene& scene, const Picture& picture, int first_row, int first_column);

}  // namespace lrm
