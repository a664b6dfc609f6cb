// A field's layers in half precision, as decoder_tensor.cuh reads them; as
// lrm_sdk/cuda/fragments.py.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "layout.h"

namespace lrm {

#if LRM_PRECISION != 0

inline std::uint16_t rounded(float value) {
  return LRM_PRECISION == 2 ? lrm_kernels::to_bfloat16(value) : lrm_kernels::to_half(value);
}

// Throws LRM_ERROR_INVALID_ARGUMENT for a weight that float16 cannot hold.
inline void require_half(float value) {
  if (LRM_PRECISION == 2 || !(std::fabs(value) > 65504.0f)) return;
  throw Error(LRM_ERROR_INVALID_ARGUMENT,
              "weights: expected numbers up to 65504 for float16, got %g; write the LRM_CUDA_FIELD "
              "with --precision bfloat16 or float32",
              static_cast<double>(value));
}

// rows x inputs, padded with zeros to `outputs` rows, as B fragments [outputs / 8, hidden / 32, 32,
// 4].
inline void append_fragments(const float* weight, int rows, int inputs, int outputs,
                             std::vector<std::uint32_t>* words) {
  const std::size_t first = words->size();
  words->resize(first + static_cast<std::size_t>(outputs / 8 * lrm_kernels::fragment_words));
  for (int row = 0; row < rows; ++row) {
    for (int input = 0; input < inputs; ++input) {
      const float value = weight[row * inputs + input];
      require_half(value);
      const int pair = input / 32, depth = input / 16 % 2, high = input / 8 % 2;
      const int lane = row % 8 * 4 + input % 8 / 2;
      const int word =
          ((row / 8 * lrm_kernels::depth_pairs + pair) * 32 + lane) * 4 + 2 * depth + high;
      (*words)[first + static_cast<std::size_t>(word)] |= static_cast<std::uint32_t>(rounded(value))
                                                          << 16 * (input % 2);
    }
  }
}

inline void append_bits(const std::vector<float>& values, std::vector<std::uint32_t>* words) {
  for (const float value : values) words->push_back(lrm_kernels::bits_of_float(value));
}

// The layers after the first.
inline std::vector<std::uint32_t> layer_words(const lrm_field_options& o,
                                              const float* const* weights,
                                              const float* const* biases) {
  std::vector<std::uint32_t> words;
  for (int l = 1; l < o.layer_count; ++l) {
    const int outputs = l + 1 == o.layer_count ? 8 : lrm_kernels::hidden;
    append_fragments(weights[l], o.layer_widths[l + 1], o.layer_widths[l], outputs, &words);
    append_bits(padded_bias(biases[l], o.layer_widths[l + 1], static_cast<std::size_t>(outputs)),
                &words);
  }
  return words;
}

#endif

}  // namespace lrm
