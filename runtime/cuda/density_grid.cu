// Density on a cubic grid p_i = -half + 2 half i / (n - 1), one point per thread, z fastest.
//
// values [count]: the grid's points from the first-th on; raw, or density if `activate`.
#include "sampler.cuh"

extern "C" __global__ void __launch_bounds__(128)
    lrm_density_grid(const void* __restrict__ planes, const void* __restrict__ layers, double half,
                     int resolution, long long first, long long count, int activate,
                     float* __restrict__ values) {
  using namespace lrm;
  const long long i = thread_index();
  const long long index = first + i;
  const int at[3] = {static_cast<int>(index / resolution / resolution),
                     static_cast<int>(index / resolution % resolution),
                     static_cast<int>(index % resolution)};
  float xyz[3];
  for (int axis = 0; axis < 3; ++axis) xyz[axis] = grid_coordinate(half, at[axis], resolution);
  const float raw = Sampler{planes, layers}.decode(i < count, xyz).density;
  if (i < count) values[i] = activate ? density_value(raw) : raw;
}
