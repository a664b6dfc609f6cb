// Ray march: persistent warps, a ray a lane, the samples of src/ray_sampling.h.
//
// Every lane walks on to its next sample that counts, then the whole warp decodes together: Aila
// and Laine 2009, "Understanding the Efficiency of Ray Traversal on GPUs" (while-while). Lanes
// whose rays have ended take the picture's next pixels when there are enough of them, so that what
// is decoded together is nearly full (there: "persistent while-while" with dynamic fetch). Rays are
// placed in float64, once each; samples and compositing are float32.
#include "../src/ray_sampling.h"
#include "occupancy.cuh"
#include "sampler.cuh"
#include "warp.cuh"

namespace lrm {

// Pixels are numbered tile by tile, a warp's size each: neighbours read the same texels.
constexpr int tile_columns = 8, tile_rows = 4;

// Lanes without a ray that make a warp stop and take pixels.
constexpr int refill_lanes = 8;

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

LRM_HOST_DEVICE int pixel_count(const RenderJob& job) {
  const int columns = (job.width + tile_columns - 1) / tile_columns;
  const int rows = (job.height + tile_rows - 1) / tile_rows;
  return columns * rows * warp_lanes;
}

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

  March() = default;
  LRM_HOST_DEVICE March(const RenderJob& job, const Ray<double>& exact, const Occupancy& lattice,
                        float limit)
      : occupancy(lattice), skip(job.skip != 0), raw_limit(limit) {
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
};

// The three pictures.
struct Pictures {
  float* rgb;    // [height, width, 3]
  float* alpha;  // [height, width]
  float* depth;  // [height, width]

  LRM_HOST_DEVICE void write(const RenderJob& job, int pixel, const Composite<float>& light,
                             float axis_cosine) const {
    for (int i = 0; i < 3; ++i) {
      rgb[3 * pixel + i] = light.rgb[i] + (1.0f - light.opacity) * job.background[i];
    }
    alpha[pixel] = light.opacity < 1.0f ? light.opacity : 1.0f;
    const float mean = light.opacity > 0.0f ? light.distance / light.opacity : 0.0f;
    depth[pixel] = mean * static_cast<float>(axis_cosine * job.sdk_units_per_native);
  }
};

// A lane's ray: where it is, and the light gathered so far.
struct Walker {
  March march;
  Composite<float> light;
  int pixel;
  int sample;     // the next one: to be looked at while walking, to be decoded after
  float xyz[3];   // of a sample that is to be decoded
  bool walking;   // it is not known yet whether there is a next one that counts
  bool standing;  // at a sample that is to be decoded

  // Begins with pixel `index`, in the order of tiles; nothing if that lies outside of the picture.
  LRM_HOST_DEVICE void begin(const RenderJob& job, int index, const Occupancy& occupancy,
                             float raw_limit) {
    const int tiles = (job.width + tile_columns - 1) / tile_columns, tile = index / warp_lanes;
    const int column = tile % tiles * tile_columns + index % tile_columns;
    const int row = tile / tiles * tile_rows + index % warp_lanes / tile_columns;
    if (row >= job.height || column >= job.width) return;
    pixel = row * job.width + column;
    light = {};
    Ray<double> ray{};
    camera_ray(job, row, column, &ray);
    const bool hits = job.sampling.place(job.origin, &ray);
    march = March(job, ray, occupancy, raw_limit);
    go_on(hits ? 0 : job.sampling.count);
  }

  LRM_HOST_DEVICE void go_on(int k) {
    sample = k;
    walking = true;
    standing = false;
  }

  // To the next sample that counts; writes the pixel where there is none.
  LRM_HOST_DEVICE void walk(const RenderJob& job, const Pictures& pictures) {
    sample = march.next(sample, xyz);
    walking = false;
    standing = sample < march.sampling.count;
    if (!standing) pictures.write(job, pixel, light, march.ray.axis_cosine);
  }

  LRM_HOST_DEVICE void add(const Raw& raw) {
    float rgb[3];
    color_values(raw, rgb);
    const float length = march.sampling.length(march.ray, sample);
    const float alpha = -expm1f(-density_value(raw.density) * length);
    const float distance = march.near + march.sampling.distance(march.ray, sample);
    light.add(alpha, distance, rgb, march.sampling.epsilon());
    const bool opaque =
        march.skip && light.transmittance < static_cast<float>(opaque_transmittance);
    go_on(opaque ? march.sampling.count : sample + 1);
  }
};

// The picture's pixels that no warp has taken yet.
struct PixelQueue {
  int* next;
  int count;  // of whole tiles

  // A number for each lane that asks; false when there are no more. By all lanes of a warp.
  __device__ bool take(unsigned asking, int* index) const {
    int first = 0;
    if (lane_index() == 0) first = atomicAdd(next, __popc(asking));
    first = __shfl_sync(whole_warp, first, 0);
    *index = first + __popc(asking & ((1u << lane_index()) - 1u));
    return first + __popc(asking) < count;
  }
};

}  // namespace lrm

// occupied, margin, raw   of occupancy.cuh, or NULL unless job->skip
// next_pixel [1]          zeroed before
// rgb    [height, width, 3]       alpha, depth  [height, width]
extern "C" __global__ void __launch_bounds__(128)
    lrm_render(const void* __restrict__ planes, const void* __restrict__ layers,
               const lrm::RenderJob* __restrict__ job_address, const float* __restrict__ raw,
               const float* __restrict__ margin, const unsigned* __restrict__ occupied,
               int* __restrict__ next_pixel, float* __restrict__ rgb, float* __restrict__ alpha,
               float* __restrict__ depth) {
  using namespace lrm;
  const RenderJob& job = *job_address;
  const Sampler sampler{planes, layers};
  const Occupancy occupancy{raw, margin, occupied, job.cells};
  const Pictures pictures{rgb, alpha, depth};
  const PixelQueue queue{next_pixel, pixel_count(job)};
  const float raw_limit = raw_for_density(job.density_limit);
  Walker walker{};
  for (bool more = true;;) {
    if (walker.walking) walker.walk(job, pictures);
    const unsigned idle = __ballot_sync(whole_warp, !walker.standing);
    if (more && __popc(idle) >= refill_lanes) {
      int index = 0;
      more = queue.take(idle, &index);
      if (!walker.standing && index < queue.count) {
        walker.begin(job, index, occupancy, raw_limit);
      }
    } else if (idle != whole_warp) {
      const Raw point = sampler.decode(walker.standing, walker.xyz);
      if (walker.standing) walker.add(point);
    } else {
      break;
    }
  }
}
