// What a field means, written once, for the C++ and the CUDA stage alike. The slow readable twins
// are models/field.py and models/render.py; runtime/include/lrm.h says the same in words.
//
// Only the language is used here, no standard header, so that NVRTC can compile it. Code that
// works on one number and code that works on a vector of numbers share a formula through a `Math`
// policy: Math::Real is the type, and Math::constant, min, max, exp and log1p its operations.
//
// Sources: Chan et al. 2022, "Efficient Geometry-aware 3D Generative Adversarial Networks"
// (triplanes, arXiv 2112.07945); Max 1995, "Optical Models for Direct Volume Rendering"
// (compositing); VAST-AI-Research/TripoSR @ d26e331 and 3DTopia/OpenLRM @ 3108b69 (the two public
// parameterisations).
#pragma once

#if defined(__CUDACC__)
#define LRM_HOST_DEVICE __host__ __device__ inline
#else
#define LRM_HOST_DEVICE inline
#endif

namespace lrm {

// -- Where a point falls on a plane ---------------------------------------------------------------

// texel = scale * p + offset for a native coordinate p, texel centres at 0, 1, ..., size - 1.
struct TexelMap {
  float scale;
  float offset;
};

// align_corners puts the box faces on the centres of the outer texels, otherwise on their outer
// edges (torch.nn.functional.grid_sample).
LRM_HOST_DEVICE TexelMap texel_map(int size, float radius, bool align_corners) {
  const double span = align_corners ? size - 1 : size;
  return {static_cast<float>(0.5 * span / radius), static_cast<float>(0.5 * (size - 1))};
}

// A texel coordinate is clamped to [-1, size]: there zero padding has faded the plane to zero, and
// beyond it stays zero. With a border of one zero texel around the plane, every clamped coordinate
// interpolates between base and base + 1, and base lies in [-1, size - 1].
template <class Math>
LRM_HOST_DEVICE typename Math::Real clamp_texel(typename Math::Real texel, int size) {
  return Math::min(Math::max(texel, Math::constant(-1.0f)),
                   Math::constant(static_cast<float>(size)));
}

// Bilinear weight products of the texels (row, column), (row, column + 1), (row + 1, column),
// (row + 1, column + 1) for the fractional parts of row and column.
template <class Math>
LRM_HOST_DEVICE void bilinear_weights(typename Math::Real row, typename Math::Real column,
                                      typename Math::Real weights[4]) {
  weights[3] = row * column;
  weights[2] = row - weights[3];
  weights[1] = column - weights[3];
  weights[0] = 1.0f - row - weights[1];
}

// Half side of the cube beyond which the field does not change along an axis, for the clamp above.
LRM_HOST_DEVICE float constant_beyond(TexelMap map, int size) {
  return (static_cast<float>(size) - map.offset) / map.scale;
}

// Point i of n along an axis of a grid over [-half, half]: p_i = -half + 2 half i / (n - 1).
LRM_HOST_DEVICE float grid_coordinate(double half, int i, int n) {
  return static_cast<float>(-half + 2.0 * half * i / (n - 1));
}

// -- Decoder --------------------------------------------------------------------------------------

// As lrm_activation and lrm_density_activation of lrm.h number them.
constexpr int activation_silu = 1;
constexpr int density_exp = 0, density_relu = 1, density_softplus = 2;

template <class Math>
LRM_HOST_DEVICE typename Math::Real sigmoid(typename Math::Real x) {
  return 1.0f / (1.0f + Math::exp(-x));
}

template <class Math>
LRM_HOST_DEVICE typename Math::Real silu(typename Math::Real x) {
  return x / (1.0f + Math::exp(-x));
}

template <class Math>
LRM_HOST_DEVICE typename Math::Real silu_slope(typename Math::Real x) {
  const typename Math::Real s = sigmoid<Math>(x);
  return s * (1.0f + x * (1.0f - s));
}

template <class Math>
LRM_HOST_DEVICE typename Math::Real relu(typename Math::Real x) {
  return Math::max(x, Math::constant(0.0f));
}

// log(1 + exp(x)) without overflow.
template <class Math>
LRM_HOST_DEVICE typename Math::Real softplus(typename Math::Real x) {
  const typename Math::Real magnitude = Math::max(x, -x);
  return relu<Math>(x) + Math::log1p(Math::exp(-magnitude));
}

// The inverse of a density activation, for density > 0; Math::log and Math::expm1 take doubles.
template <class Math>
LRM_HOST_DEVICE double raw_for_density(int activation, double density) {
  if (activation == density_exp) return Math::log(density);
  if (activation == density_softplus) return density + Math::log(-Math::expm1(-density));
  return density;
}

// OpenLRM widens the sigmoid a little so that 0 and 1 can be reached.
template <class Math>
LRM_HOST_DEVICE typename Math::Real color_value(typename Math::Real raw, float widen) {
  return sigmoid<Math>(raw) * (1.0f + 2.0f * widen) - widen;
}

// -- Empty space ----------------------------------------------------------------------------------

// Trilinear interpolation between lattice nodes errs by at most an eighth of the second
// differences' sum, if those of the field are nowhere larger than what the nodes show. Six times
// that allows for what they miss: on a fitted field of TripoSR's size four left pixels that were
// off by 5/255, six none above 1/255.
constexpr float lattice_margin_per_curvature = 6.0f / 8.0f;

// Second difference at node i of n along an axis; on the border, where a neighbour is missing, that
// of the next node inwards. `value` is the node's, `stride` leads to the next one.
LRM_HOST_DEVICE float node_second_difference(const float* value, int i, int n, long long stride) {
  const int middle = i < 1 ? 1 : (i > n - 2 ? n - 2 : i);
  value += (middle - i) * stride;
  return value[-stride] - 2.0f * value[0] + value[stride];
}

// Its absolute value.
LRM_HOST_DEVICE float node_bend(const float* value, int i, int n, long long stride) {
  const float difference = node_second_difference(value, i, n, stride);
  return difference < 0.0f ? -difference : difference;
}

// -- Rays -----------------------------------------------------------------------------------------

// A ray counts as a hit if more than this of it lies in the box, native units; direction components
// smaller than min_direction count as that (TripoSR: tsr/utils.py).
constexpr double min_box_length = 0.01;
constexpr double min_direction = 1e-6;

// Keeps the transmittance of the LRM outline's renderer positive; NEAR_FAR rays only.
constexpr double near_far_epsilon = 1e-10;

// Slab test against [-half, half]^3. Returns whether the ray hits.
template <class Real>
LRM_HOST_DEVICE bool clip_to_box(const Real origin[3], const Real direction[3], Real half,
                                 Real* near_distance, Real* far_distance) {
  Real near = 0;
  Real far = static_cast<Real>(1e30);
  for (int i = 0; i < 3; ++i) {
    Real d = direction[i];
    const Real least = static_cast<Real>(min_direction);
    if (d > -least && d < least) d = d < 0 ? -least : least;
    const Real a = (-half - origin[i]) / d;
    const Real b = (half - origin[i]) / d;
    const Real enter = a < b ? a : b;
    const Real leave = a < b ? b : a;
    near = enter > near ? enter : near;
    far = leave < far ? leave : far;
  }
  *near_distance = near;
  *far_distance = far;
  return far - near > static_cast<Real>(min_box_length);
}

// Sample k of n between near and far: the middle of the k-th of n equal intervals, or, for
// NEAR_FAR, the k-th of n points with both ends included.
template <class Real>
LRM_HOST_DEVICE Real sample_distance(bool ends_included, Real near, Real far, int k, int n) {
  const Real fraction = ends_included ? static_cast<Real>(k) / static_cast<Real>(n - 1)
                                      : (static_cast<Real>(k) + Real(0.5)) / static_cast<Real>(n);
  return near + (far - near) * fraction;
}

// A skipped sample's density is below what would make a whole ray this opaque, and a stopped ray
// had this much light left: together well below 1/255.
constexpr double skipped_opacity = 1.0 / 512;
constexpr double opaque_transmittance = 1.0 / 1024;

// Front-to-back compositing of one ray.
template <class Real>
struct Composite {
  Real transmittance = 1;
  Real opacity = 0;
  Real distance = 0;  // sum of weight * distance
  Real rgb[3] = {0, 0, 0};

  LRM_HOST_DEVICE void add(Real alpha, Real t, const float color[3], Real epsilon) {
    const Real weight = alpha * transmittance;
    opacity += weight;
    distance += weight * t;
    for (int i = 0; i < 3; ++i) rgb[i] += weight * static_cast<Real>(color[i]);
    transmittance *= 1 - alpha + epsilon;
  }
};

}  // namespace lrm
