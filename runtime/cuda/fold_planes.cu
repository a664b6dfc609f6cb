// Planes as the network gives them -> planes as field.cuh says: every texel times the first layer.
//
// planes    [3, C, H, W] float32
// columns   [3, C, LRM_HIDDEN]: the first layer's columns that meet each plane's channels; the same
//           for all planes where their features are summed, a third of it where they are averaged
// bias      [LRM_HIDDEN], the first layer's
// folded    [3, H + 2, W + 2, LRM_HIDDEN]; all of it is written, the border too
// rounded   the same in the layout of decoder_tensor.cuh, or NULL where LRM_PRECISION is float32
//
// A thread makes four outputs of one texel.
#include "sampler.cuh"

namespace lrm {

#if LRM_PRECISION != 0
// Where numbers 4 group, + 1 of a texel lie; those after them a member on, 8 numbers.
LRM_HOST_DEVICE int rounded_place(int group) {
  const int pair = group / 8, depth = group / 4 % 2, high = group / 2 % 2, member = group % 2 * 2;
  return 32 * pair + 8 * member + 4 * depth + 2 * high;
}

LRM_HOST_DEVICE void write_rounded(unsigned short* texel, int group, float4 values) {
  auto* place = reinterpret_cast<unsigned*>(texel + rounded_place(group));
  place[0] = pack(values.x, values.y);
  place[4] = pack(values.z, values.w);
}
#endif

}  // namespace lrm

extern "C" __global__ void lrm_fold_planes(const float* __restrict__ planes,
                                           const float* __restrict__ columns,
                                           const float* __restrict__ bias,
                                           float* __restrict__ folded,
                                           unsigned short* __restrict__ rounded) {
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
#if LRM_PRECISION != 0
  write_rounded(rounded + 1LL * texel * hidden, group, sum);
#else
  (void)rounded;
#endif
}
