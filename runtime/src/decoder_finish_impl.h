// Rows of raw values -> density and colour: the last step of every kernel.
#pragma once

#include "decoder_layers_impl.h"

namespace lrm {
namespace {

inline Vector density_value(const KernelModel& m, Vector raw) {
  const Vector x = raw + m.density_bias;
  if (m.density_activation == LRM_DENSITY_EXP) return exponential(x);
  if (m.density_activation == LRM_DENSITY_RELU) return relu<VectorMath>(x);
  return softplus<VectorMath>(x);
}

inline void write_density(const KernelModel& m, const float* raw, int count, bool activate,
                          float* density) {
  alignas(64) float row[kernel_block];
  for (int i = 0; i < count; i += lanes) {
    const Vector x = load(raw + i);
    store(row + i, activate ? density_value(m, x) : x);
  }
  for (int i = 0; i < count; ++i) density[i] = row[i];
}

inline void write_color(const KernelModel& m, const float* raw, int count, float* rgb) {
  alignas(64) float row[kernel_block];
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < count; i += lanes) {
      store(row + i,
            color_value<VectorMath>(load(raw + (c + 1) * kernel_block + i), m.color_widen));
    }
    for (int i = 0; i < count; ++i) rgb[3 * i + c] = row[i];
  }
}

// The next `count` points' outputs are behind these.
inline void advance(Decoded* decoded, int count) {
  if (decoded->density != nullptr) decoded->density += count;
  if (decoded->rgb != nullptr) decoded->rgb += 3 * count;
  if (decoded->gradient != nullptr) decoded->gradient += 3 * count;
}

}  // namespace
}  // namespace lrm
