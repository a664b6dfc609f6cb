// Density and colour at points, one per thread.
//
// to_native  [3, 4] float64: SDK frame -> native frame
// points     [count, 3] float32, SDK frame
// density    [count] or NULL        rgb  [count, 3] or NULL
#include "sampler.cuh"

extern "C" __global__ void __launch_bounds__(128)
    lrm_query(const void* __restrict__ planes, const void* __restrict__ layers,
              const double* __restrict__ to_native, const float* __restrict__ points,
              long long count, float* __restrict__ density, float* __restrict__ rgb) {
  using namespace lrm;
  const long long i = thread_index();
  const bool active = i < count;
  float xyz[3] = {0.0f, 0.0f, 0.0f};
  for (int axis = 0; active && axis < 3; ++axis) {
    const double* row = to_native + 4 * axis;
    xyz[axis] = static_cast<float>(row[0] * points[3 * i] + row[1] * points[3 * i + 1] +
                                   row[2] * points[3 * i + 2] + row[3]);
  }
  const Raw raw = Sampler{planes, layers}.decode(active, xyz);
  if (!active) return;
  if (density != nullptr) density[i] = density_value(raw.density);
  if (rgb != nullptr) color_values(raw, rgb + 3 * i);
}
