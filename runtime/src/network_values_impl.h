// Element-wise steps of a network's kernel: activations, layer normalisation, depthwise
// convolution.
#pragma once

#include "network_activations_impl.h"
#include "network_lanes_impl.h"

namespace lrm {
namespace {

void activate(int activation, const float* x, long long count, float* y) {
  with_activation(activation, [=](auto kind) {
    constexpr int kActivation = decltype(kind)::value;
    long long i = 0;
    for (; i + lanes <= count; i += lanes) {
      store_unaligned(y + i, activated<kActivation>(load_unaligned(x + i)));
    }
    const int rest = static_cast<int>(count - i);
    if (rest > 0) store_some(y + i, activated<kActivation>(load_some(x + i, rest)), rest);
  });
}

// -- layer normalisation --------------------------------------------------------------------------

// mean is rounded, which shows where it is large beside the deviations from it: their own mean,
// `rest`, corrects both (Chan, Golub and LeVeque 1983, "Algorithms for Computing the Sample
// Variance").
void normalise_row(const LayerNormWork& w, const float* x, float* y) {
  const auto width = static_cast<float>(w.width);
  Vector sum = splat(0.0f), rests = splat(0.0f), squares = splat(0.0f);
  for_columns(w.width, [&](int c, int used) { sum += load_lanes(x + c, used); });
  const float mean = sum_of(sum) / width;
  for_columns(w.width, [&](int c, int used) {
    Vector off = load_lanes(x + c, used) - mean;
    for (int i = used; i < lanes; ++i) off[i] = 0.0f;
    rests += off;
    squares += off * off;
  });
  const float rest = sum_of(rests) / width;
  const float variance = sum_of(squares) / width - rest * rest;  // rounded: perhaps below 0
  const float factor = 1.0f / __builtin_sqrtf((variance < 0.0f ? 0.0f : variance) + w.epsilon);
  for_columns(w.width, [&](int c, int used) {
    Vector value = (load_lanes(x + c, used) - mean - rest) * factor;
    if (w.scale != nullptr) value *= load_lanes(w.scale + c, used);
    if (w.bias != nullptr) value += load_lanes(w.bias + c, used);
    store_lanes(y + c, value, used);
  });
}

void layer_norm(const LayerNormWork& w, int first, int count) {
  for (long long row = first; row < first + count; ++row) {
    normalise_row(w, w.x + row * w.width, w.y + row * w.width);
  }
}

// -- depthwise convolution ------------------------------------------------------------------------

// `used` channels from c on of one place of y.
inline Vector convolved(const DepthwiseWork& w, int row, int column, int c, int used) {
  Vector sum = w.bias == nullptr ? splat(0.0f) : load_lanes(w.bias + c, used);
  for (int ky = 0; ky < w.kernel; ++ky) {
    const int y = row * w.stride - w.top + ky;
    if (y < 0 || y >= w.height) continue;
    for (int kx = 0; kx < w.kernel; ++kx) {
      const int x = column * w.stride - w.left + kx;
      if (x < 0 || x >= w.width) continue;
      const long long at = (1LL * y * w.width + x) * w.channels + c;
      sum += load_lanes(w.x + at, used) *
             load_lanes(w.matrix + (1LL * ky * w.kernel + kx) * w.channels + c, used);
    }
  }
  return sum;
}

void depthwise(const DepthwiseWork& w, int first, int count) {
  with_activation(w.activation, [=](auto kind) {
    constexpr int kActivation = decltype(kind)::value;
    for (int row = first; row < first + count; ++row) {
      for (int column = 0; column < w.y_width; ++column) {
        float* y = w.y + (1LL * row * w.y_width + column) * w.channels;
        for_columns(w.channels, [&](int c, int used) {
          store_lanes(y + c, activated<kActivation>(convolved(w, row, column, c, used)), used);
        });
      }
    }
  });
}

}  // namespace
}  // namespace lrm
