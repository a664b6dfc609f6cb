// Ray march: one ray per thread, 8 x 4 pixels per warp, the samples of src/ray_sampling.h.
//
// Every thread walks on to its next sample that counts, then the whole warp decodes together:
// Aila and Laine 2009, "Understanding the Efficiency of Ray Traversal on GPUs" (while-while).
// Rays are placed in float64, once each; samples and compositing are float32.
#include "../src/ray_sampling.h"
#include "decoder.cuh"
#include "occupancy.cuh"

namespace lrm {

// A block of 128 threads covers 16 x 8 pixels, a warp 8 x 4 of them.
constexpr int warp_columns = 8, warp_rows = 4;
constexpr int tile_columns = 2 * warp_columns, tile_rows = 2 * warp_rows;

// One picture. lrm_sdk/cuda/render.py writes the same record.
struct RenderJob {
  double origin[3];                 // native
  double right[3], up[3], back[3];  // the camera's axes, native
  double fx, fy, cx, cy;            // pixels
  double sdk_units_per_native;
  RaySampling<double> sampling;
  int width, height;    // pixels
  int skip;             // 1: leave out what surely does not count; 0: evaluate all
  float density_limit;  // of skipped samples
  float background[3];
  int cells;  // of the lattice; 0 unless skip
};

LRM_HOST_DEVICE void camera_ray(const RenderJob& job, int row, int column, Ray<double>* ray) {
  const double x = (column + 0.5 - job.cx) / job.fx;
  const double y = -(row + 0.5 - job.cy) / job.fy;
  const double length = sqrt(x * x + y * y + 1.0);
  for (int i = 0; i < 3; ++i) {
    ray->direction[i] = (x * job.right[i] + y * job.up[i] - job.back[i]) / length;
  }
  ray->axis_cosine = 1.0 / length;
}

// A ray and its samples in float32, distances from its first point on: with a camera far away those
// from the camera would have no digits left for the box.
struct March {
  float first[3];
  float near;
  Ray<float> ray;
  RaySampling<float> sampling;
  Occupancy occupancy;
  bool skip;
  float raw_limit;

  LRM_HOST_DEVICE March(const RenderJob& job, const Ray<double>& exact, const Occupancy& lattice)
      : occupancy(lattice), skip(job.skip != 0), raw_limit(raw_for_density(job.density_limit)) {
    for (int i = 0; i < 3; ++i) {
      first[i] = static_cast<float>(job.origin[i] + exact.direction[i] * exact.near);
      ray.direction[i] = static_cast<float>(exact.direction[i]);
    }
    near = static_cast<float>(exact.near);
    ray.axis_cosine = static_cast<float>(exact.axis_cosine);
    ray.near = 0.0f;
    ray.far = static_cast<float>(exact.far - exact.near);
    const RaySampling<double>& s = job.sampling;
    sampling = {s.count,
                s.near_far,
                s.unit_step,
                static_cast<float>(s.half),
                static_cast<float>(s.near),
                static_cast<float>(s.far),
                static_cast<float>(s.last_delta)};
  }

  LRM_HOST_DEVICE void position(int k, float xyz[3]) const {
    const float t = sampling.distance(ray, k);
    for (int i = 0; i < 3; ++i) xyz[i] = first[i] + ray.direction[i] * t;
  }

  LRM_HOST_DEVICE bool counts(int k, const float xyz[3]) const {
    if (empty_outside) {
      for (int i = 0; i < 3; ++i) {
        if (fabsf(xyz[i]) > box_radius) return false;
      }
    }
    return !skip || sampling.always_counts(k) || may_count(occupancy, xyz, raw_limit);
  }

  // The first sample from k on that counts, its position in xyz; sampling.count if there is none.
  LRM_HOST_DEVICE int next(int k, float xyz[3]) const {
    for (; k < sampling.count; ++k) {
      position(k, xyz);
      if (counts(k, xyz)) break;
    }
    return k;
  }

  LRM_HOST_DEVICE Composite<float> run(const FieldData& field) const {
    Composite<float> light;
    float xyz[3];
    for (int k = next(0, xyz); k < sampling.count; k = next(k + 1, xyz)) {
      const Raw raw = decode(field, xyz);
      float rgb[3];
      color_values(raw, rgb);
      const float alpha = -expm1f(-density_value(raw.density) * sampling.length(ray, k));
      light.add(alpha, near + sampling.distance(ray, k), rgb, sampling.epsilon());
      if (skip && light.transmittance < static_cast<float>(opaque_transmittance)) break;
    }
    return light;
  }
};

}  // namespace lrm

// occupied, margin, raw   of occupancy.cuh, or NULL unless job->skip
// rgb    [height, width, 3]       alpha, depth  [height, width]
extern "C" __global__ void __launch_bounds__(128)
    lrm_render(const float* __restrict__ planes, const float* __restrict__ layers,
               const lrm::RenderJob* __restrict__ job_address, const float* __restrict__ raw,
               const float* __restrict__ margin, const unsigned* __restrict__ occupied,
               float* __restrict__ rgb, float* __restrict__ alpha, float* __restrict__ depth) {
  using namespace lrm;
  const RenderJob& job = *job_address;
  const int tiles = (job.width + tile_columns - 1) / tile_columns;
  const int tile = static_cast<int>(blockIdx.x);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int column = tile % tiles * tile_columns + warp % 2 * warp_columns + lane % warp_columns;
  const int row = tile / tiles * tile_rows + warp / 2 * warp_rows + lane / warp_columns;
  if (row >= job.height || column >= job.width) return;
  Ray<double> ray{};
  camera_ray(job, row, column, &ray);
  Composite<float> light;
  if (job.sampling.place(job.origin, &ray)) {
    light = March(job, ray, {raw, margin, occupied, job.cells}).run({planes, layers});
  }
  const int pixel = row * job.width + column;
  for (int i = 0; i < 3; ++i) {
    rgb[3 * pixel + i] = light.rgb[i] + (1.0f - light.opacity) * job.background[i];
  }
  alpha[pixel] = light.opacity < 1.0f ? light.opacity : 1.0f;
  const float mean = light.opacity > 0.0f ? light.distance / light.opacity : 0.0f;
  depth[pixel] = mean * static_cast<float>(ray.axis_cosine * job.sdk_units_per_native);
}
