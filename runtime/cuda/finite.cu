// Whether values are finite: `bad` is set to 1 if one is not, and left alone otherwise.
#include "platform.cuh"

extern "C" __global__ void lrm_find_not_finite(const float* __restrict__ values, long long count,
                                               int* __restrict__ bad) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = lrm::thread_index(); i < count; i += stride) {
    if (!(fabsf(values[i]) <= 3.402823466e38f)) *bad = 1;  // NaN compares false
  }
}
