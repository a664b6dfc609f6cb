// Pass 5 of surface.cuh: vertices, one per thread; their normals and colours; face normals where
// the field gives none.
#include "surface.cuh"

namespace lrm {

LRM_HOST_DEVICE void apply(const double matrix[3][3], const float in[3], float out[3]) {
  for (int i = 0; i < 3; ++i) {
    out[i] = static_cast<float>(matrix[i][0] * in[0] + matrix[i][1] * in[1] + matrix[i][2] * in[2]);
  }
}

// Fraction of the edge at which the vertex lies: as Refiner in src/surface_vertices.cpp.
LRM_HOST_DEVICE double refined_fraction(const FieldData& field, const SurfaceJob& job,
                                        const EdgePlace& place, const float density[2]) {
  const double raw_threshold = raw_for_density(job.threshold);
  double ends[2];
  for (int k = 0; k < 2; ++k) {
    ends[k] = relative_raw(raw_for_density(density[k]) - raw_threshold, density[k] > job.threshold);
  }
  Bracket bracket(ends[0], ends[1]);
  LRM_ROLLED
  for (int step = 0; step < job.refine_steps; ++step) {
    const double fraction = keep_off_ends(bracket.estimate());
    float xyz[3];
    edge_point(job.grid, place, fraction, xyz);
    bracket.narrow(fraction, bounded(decode(field, xyz).density - raw_threshold));
    if (!(bracket.last_move() > settled_move)) break;
  }
  return keep_off_ends(bracket.estimate());
}

// A gradient in place to a unit normal, native frame. False if it vanishes; then the normal points
// along the edge, from its inside end to its outside end, as on edges to the padding.
LRM_HOST_DEVICE bool to_normal(const EdgePlace& place, const float density[2], float vector[3]) {
  const double descent[3] = {-static_cast<double>(vector[0]), -static_cast<double>(vector[1]),
                             -static_cast<double>(vector[2])};
  const double length =
      sqrt(descent[0] * descent[0] + descent[1] * descent[1] + descent[2] * descent[2]);
  const bool border = place.low_padding || place.high_padding;
  const bool usable = length > 0.0 && length < 1e300;
  for (int axis = 0; axis < 3; ++axis) {
    const float along = axis != place.axis ? 0.0f : (density[1] > density[0] ? -1.0f : 1.0f);
    vector[axis] = border || !usable ? along : static_cast<float>(descent[axis] / length);
  }
  return border || usable;
}

}  // namespace lrm

// native, sdk [vertices, 3]
extern "C" __global__ void __launch_bounds__(128)
    lrm_surface_vertices(const float* __restrict__ planes, const float* __restrict__ layers,
                         const lrm::SurfaceJob* __restrict__ job_address,
                         const int* __restrict__ edge_node, const float* __restrict__ edge_density,
                         int vertices, float* __restrict__ native, float* __restrict__ sdk) {
  using namespace lrm;
  const long long i = thread_index();
  if (i >= vertices) return;
  const SurfaceJob& job = *job_address;
  const EdgePlace place = edge_place(job.grid, edge_node + 4 * i, edge_node[4 * i + 3]);
  const float density[2] = {edge_density[2 * i], edge_density[2 * i + 1]};
  double fraction = 0.5;
  if (!border_fraction(place, &fraction)) {
    fraction = job.refine_steps > 0 ? refined_fraction({planes, layers}, job, place, density)
                                    : linear_fraction(density[0], density[1], job.threshold);
  }
  float xyz[3];
  edge_point(job.grid, place, fraction, xyz);
  for (int axis = 0; axis < 3; ++axis) {
    const double* row = job.native_to_sdk[axis];
    native[3 * i + axis] = xyz[axis];
    sdk[3 * i + axis] =
        static_cast<float>(row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2] + row[3]);
  }
}

// normals  [vertices, 3], unit, SDK frame, or NULL.     colors  [vertices, 3] in [0, 1], or NULL.
// lost     [vertices]: 1 where the gradient vanishes;   lost_count [1], zeroed before.
extern "C" __global__ void __launch_bounds__(128)
    lrm_surface_attributes(const float* __restrict__ planes, const float* __restrict__ layers,
                           const lrm::SurfaceJob* __restrict__ job_address,
                           const int* __restrict__ edge_node,
                           const float* __restrict__ edge_density, int vertices,
                           const float* __restrict__ native, float* __restrict__ normals,
                           float* __restrict__ colors, unsigned char* __restrict__ lost,
                           int* __restrict__ lost_count) {
  using namespace lrm;
  const long long i = thread_index();
  if (i >= vertices) return;
  const SurfaceJob& job = *job_address;
  const float xyz[3] = {native[3 * i], native[3 * i + 1], native[3 * i + 2]};
  float vector[3];
  const Raw raw = decode_with_gradient({planes, layers}, xyz, vector);
  if (normals != nullptr) {
    const EdgePlace place = edge_place(job.grid, edge_node + 4 * i, edge_node[4 * i + 3]);
    const float density[2] = {edge_density[2 * i], edge_density[2 * i + 1]};
    lost[i] = !to_normal(place, density, vector);
    if (lost[i]) atomicAdd(lost_count, 1);
    apply(job.rotation, vector, normals + 3 * i);
  }
  if (colors != nullptr) {
    float rgb[3];
    color_values(raw, rgb);
    // Written so that a NaN becomes 0.
    for (int k = 0; k < 3; ++k)
      colors[3 * i + k] = rgb[k] > 0.0f ? (rgb[k] < 1.0f ? rgb[k] : 1.0f) : 0.0f;
  }
}

// Adds the area-weighted normals of faces to sums [vertices, 3], zeroed before, of lost vertices;
// one face per thread. sdk [vertices, 3].
extern "C" __global__ void lrm_surface_face_normals(const unsigned* __restrict__ faces,
                                                    long long count, const float* __restrict__ sdk,
                                                    const unsigned char* __restrict__ lost,
                                                    float* sums) {
  using namespace lrm;
  const long long i = thread_index();
  if (i >= count) return;
  const unsigned* face = faces + 3 * i;
  if (!lost[face[0]] && !lost[face[1]] && !lost[face[2]]) return;
  const float* corner[3] = {sdk + 3LL * face[0], sdk + 3LL * face[1], sdk + 3LL * face[2]};
  for (int a = 0; a < 3; ++a) {
    const int b = (a + 1) % 3, c = (a + 2) % 3;
    const float normal = (corner[1][b] - corner[0][b]) * (corner[2][c] - corner[0][c]) -
                         (corner[1][c] - corner[0][c]) * (corner[2][b] - corner[0][b]);
    for (int k = 0; k < 3; ++k) {
      if (lost[face[k]]) atomicAdd(sums + 3LL * face[k] + a, normal);
    }
  }
}

// Puts the sums in place of lost normals, where they do not vanish too.
extern "C" __global__ void lrm_surface_replace_normals(const unsigned char* __restrict__ lost,
                                                       const float* __restrict__ sums, int vertices,
                                                       float* __restrict__ normals) {
  using namespace lrm;
  const long long i = thread_index();
  if (i >= vertices || !lost[i]) return;
  const double x = sums[3 * i], y = sums[3 * i + 1], z = sums[3 * i + 2];
  const double length = sqrt(x * x + y * y + z * z);
  if (!(length > 0.0)) return;
  for (int k = 0; k < 3; ++k) normals[3 * i + k] = static_cast<float>(sums[3 * i + k] / length);
}
