// A field's layers in the layout of field.cuh, as lrm_sdk/cuda/specialization.py makes it; and
// whether they are what the kernels were compiled for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "error.h"
#include "kernels.h"
#include "lrm.h"

namespace lrm {

constexpr std::size_t padded_width = lrm_kernels::hidden;

inline void require_built(double built, double given, const char* name) {
  if (given != built) {
    throw Error(
        LRM_ERROR_INVALID_ARGUMENT,
        "options.%s: expected %.9g, which this liblrm's kernels are compiled for, got %.9g; "
        "build it with the LRM_CUDA_FIELD of this engine (export/cuda_field.py)",
        name, built, given);
  }
}

inline void require_built_layers(const lrm_field_options& o) {
  require_built(lrm_kernels::linear ? 1 : lrm_kernels::hidden_layers + 2, o.layer_count,
                "layer_count");
  const int widest = *std::max_element(o.layer_widths + 1, o.layer_widths + o.layer_count + 1);
  if (widest > lrm_kernels::hidden) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "options.layer_widths: expected layers of at most %d, which this liblrm's kernels "
                "are compiled for, got %d; build it with the LRM_CUDA_FIELD of this engine "
                "(export/cuda_field.py)",
                lrm_kernels::hidden, widest);
  }
}

// Throws LRM_ERROR_INVALID_ARGUMENT that names the first option that differs.
inline void require_built_for(const lrm_field_options& o) {
  require_built(lrm_kernels::channels, o.plane_channels, "plane_channels");
  require_built(lrm_kernels::plane_height, o.plane_height, "plane_height");
  require_built(lrm_kernels::plane_width, o.plane_width, "plane_width");
  for (int plane = 0; plane < 3; ++plane) {
    for (int k = 0; k < 2; ++k) {
      require_built(lrm_kernels::plane_axis(plane, k), o.axes[plane][k], "axes");
    }
  }
  require_built(static_cast<double>(LRM_RADIUS), static_cast<double>(o.radius), "radius");
  require_built(LRM_ALIGN_CORNERS, o.align_corners, "align_corners");
  require_built(LRM_ACTIVATION, o.activation, "activation");
  require_built(LRM_DENSITY_ACTIVATION, o.density_activation, "density_activation");
  require_built(static_cast<double>(LRM_DENSITY_BIAS), static_cast<double>(o.density_bias),
                "density_bias");
  require_built(static_cast<double>(LRM_COLOR_WIDEN), static_cast<double>(o.color_widen),
                "color_widen");
  require_built(LRM_OUTSIDE, o.outside, "outside");
  require_built_layers(o);
}

// The first layer's columns that meet each plane's channels, [3, C, hidden].
inline std::vector<float> plane_columns(const lrm_field_options& o, const float* weight) {
  const auto channels = static_cast<std::size_t>(o.plane_channels);
  const auto inputs = static_cast<std::size_t>(o.layer_widths[0]);
  const auto outputs = static_cast<std::size_t>(o.layer_widths[1]);
  const std::size_t step = o.reduction == LRM_REDUCTION_CONCAT ? channels : 0;
  const float share = o.reduction == LRM_REDUCTION_MEAN ? static_cast<float>(1.0 / 3.0) : 1.0f;
  std::vector<float> columns(3 * channels * padded_width);
  for (std::size_t plane = 0; plane < 3; ++plane) {
    for (std::size_t c = 0; c < channels; ++c) {
      float* column = columns.data() + (plane * channels + c) * padded_width;
      for (std::size_t row = 0; row < outputs; ++row) {
        column[row] = weight[row * inputs + plane * step + c] * share;
      }
    }
  }
  return columns;
}

inline std::vector<float> padded_bias(const float* bias, int count, std::size_t width) {
  std::vector<float> padded(width);
  if (bias != nullptr) std::copy(bias, bias + count, padded.begin());
  return padded;
}

// A square matrix, rows x inputs padded with zeros, as [hidden / 8, hidden inputs, 8];
// `transposed`: its transpose.
inline void append_panels(const float* weight, int rows, int inputs, bool transposed,
                          std::vector<float>* layers) {
  constexpr auto side = static_cast<std::size_t>(lrm_kernels::panel_rows);
  const std::size_t first = layers->size();
  layers->resize(first + padded_width * padded_width);
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < inputs; ++i) {
      const auto row = static_cast<std::size_t>(transposed ? i : r);
      const auto input = static_cast<std::size_t>(transposed ? r : i);
      (*layers)[first + (row / side * padded_width + input) * side + row % side] =
          weight[r * inputs + i];
    }
  }
}

inline void append(const std::vector<float>& values, std::vector<float>* layers) {
  layers->insert(layers->end(), values.begin(), values.end());
}

// The layers after the first, in the order that field.cuh gives; nothing if there are none.
inline std::vector<float> layer_floats(const lrm_field_options& o, const float* const* weights,
                                       const float* const* biases) {
  std::vector<float> layers;
  const int last = o.layer_count - 1;
  if (last == 0) return layers;
  for (int l = 1; l < last; ++l) {
    const int rows = o.layer_widths[l + 1], inputs = o.layer_widths[l];
    append_panels(weights[l], rows, inputs, false, &layers);
    append_panels(weights[l], rows, inputs, true, &layers);
    append(padded_bias(biases[l], rows, padded_width), &layers);
  }
  const int inputs = o.layer_widths[last];
  const std::size_t first = layers.size();
  layers.resize(first + 4 * padded_width);
  for (int row = 0; row < 4; ++row) {
    for (int i = 0; i < inputs; ++i) {
      layers[first + static_cast<std::size_t>(4 * i + row)] = weights[last][row * inputs + i];
    }
  }
  append(padded_bias(biases[last], 4, 4), &layers);
  return layers;
}

}  // namespace lrm
