// Planes as the network gives them -> planes as field.cuh says: every texel times the first layer.
//
// planes    [3, C, H, W] float32
// columns   [3, C, LRM_HIDDEN]: the first layer's columns that meet each plane's channels; the same
//           for all planes where their features are summed, a third of it where they are averaged
// bias      [LRM_HIDDEN], the first layer's
// folded    [3, H + 2, W + 2, LRM_HIDDEN]; all of it is written, the border too
//
// A thread makes four outputs of one texel.
#include "decoder.cuh"

extern "C" __global__ void lrm_fold_planes(const float* __restrict__ planes,
                                           const float* __restrict__ columns,
                                           const float* __restrict__ bias,
                                           float* __restrict__ folded) {
  using namespace lrm;
  constexpr int groups = hidden / 4;
  const long long index = thread_index();
  if (index >= 3LL * (plane_stride / 4)) return;
  const int group = static_cast<int>(index % groups);
  const int texel = static_cast<int>(index / groups);
  const int column = texel % (plane_width + 2) - 1;
  const int row = texel / (plane_width + 2) % (plane_height + 2) - 1;
  const int plane = texel / (plane_stride / hidden);
  const float4 zero = {0.0f, 0.0f, 0.0f, 0.0f};
  float4 sum = plane == 0 ? load4(bias + 4 * group) : zero;
  if (row >= 0 && row < plane_height && column >= 0 && column < plane_width) {
    const float* value = planes + (plane * channels * plane_height + row) * plane_width + column;
    const float* weights = columns + plane * channels * hidden + 4 * group;
    for (int c = 0; c < channels; ++c) {
      add_scaled(&sum, load4(weights + c * hidden), value[c * plane_height * plane_width]);
    }
  }
  *reinterpret_cast<float4*>(folded + 4 * index) = sum;
}
