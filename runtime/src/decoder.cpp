#include "decoder.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "field_semantics.h"

namespace lrm {
namespace {

constexpr std::align_val_t cache_line{64};

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

std::size_t as_size(int value) { return static_cast<std::size_t>(value); }

bool machine_runs(const Kernel& kernel) {
#if defined(__x86_64__)
  if (&kernel == &avx512_kernel) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma");
  }
  if (&kernel == &avx2_kernel) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }
#endif
  return &kernel == &portable_kernel;
}

const Kernel* choose_kernel() {
  static const Kernel* const widest_first[] = {
#if defined(__x86_64__)
      &avx512_kernel, &avx2_kernel,
#endif
      &portable_kernel};
  const char* wanted = std::getenv("LRM_INSTRUCTION_SET");
  const Kernel* best = nullptr;
  for (const Kernel* kernel : widest_first) {
    if (!machine_runs(*kernel)) continue;
    if (best == nullptr) best = kernel;
    if (wanted != nullptr && std::strcmp(wanted, kernel->name) == 0) return kernel;
  }
  return best;
}

// One layer as panels of kernel_rows rows: [panel, inputs, kernel_rows].
void write_panels(const float* weights, int inputs, int outputs, float scale, float* panels) {
  for (int row = 0; row < outputs; ++row) {
    float* panel = panels + as_size(row / kernel_rows) * as_size(inputs * kernel_rows);
    for (int k = 0; k < inputs; ++k) {
      panel[k * kernel_rows + row % kernel_rows] =
          weights[as_size(row) * as_size(inputs) + as_size(k)] * scale;
    }
  }
}

}  // namespace

const Kernel& kernel_in_use() {
  static const Kernel* const kernel = choose_kernel();
  return *kernel;
}

AlignedFloats::AlignedFloats(std::size_t count)
    : data_(static_cast<float*>(::operator new[](count * sizeof(float), cache_line))) {
  std::fill_n(data_.get(), count, 0.0f);
}

void AlignedFloats::Free::operator()(float* p) const { ::operator delete[](p, cache_line); }

Decoder::Decoder(const lrm_field_options& options, const float* planes, const float* const* weights,
                 const float* const* biases)
    : kernel_(&kernel_in_use()) {
  const bool align = options.align_corners != 0;
  const TexelMap columns = texel_map(options.plane_width, options.radius, align);
  const TexelMap rows = texel_map(options.plane_height, options.radius, align);
  model_.channels = options.plane_channels;
  model_.channel_stride = round_up(options.plane_channels, kernel_max_lanes);
  model_.height = options.plane_height;
  model_.width = options.plane_width;
  std::memcpy(model_.axes, options.axes, sizeof model_.axes);
  model_.column_scale = columns.scale;
  model_.column_offset = columns.offset;
  model_.row_scale = rows.scale;
  model_.row_offset = rows.offset;
  model_.concat = options.reduction == LRM_REDUCTION_CONCAT;
  model_.silu = options.activation == LRM_ACTIVATION_SILU;
  model_.density_activation = options.density_activation;
  model_.density_bias = options.density_bias;
  model_.color_widen = options.color_widen;
  constant_beyond_ = std::max(lrm::constant_beyond(columns, options.plane_width),
                              lrm::constant_beyond(rows, options.plane_height));
  copy_planes(planes);
  copy_layers(options, weights, biases);
}

// [3, C, H, W] -> channel-last with a border of one zero texel and zero padded channels.
void Decoder::copy_planes(const float* planes) {
  const std::size_t height = as_size(model_.height), width = as_size(model_.width);
  const std::size_t stride = as_size(model_.channel_stride);
  const std::size_t plane_floats = (height + 2) * (width + 2) * stride;
  planes_ = AlignedFloats(3 * plane_floats);
  for (std::size_t plane = 0; plane < 3; ++plane) {
    float* target = planes_.data() + plane * plane_floats;
    model_.planes[plane] = target;
    for (std::size_t c = 0; c < as_size(model_.channels); ++c) {
      for (std::size_t row = 0; row < height; ++row) {
        float* texel = target + ((row + 1) * (width + 2) + 1) * stride + c;
        for (std::size_t column = 0; column < width; ++column) texel[column * stride] = *planes++;
      }
    }
  }
}

void Decoder::copy_layers(const lrm_field_options& options, const float* const* weights,
                          const float* const* biases) {
  const int32_t* widths = options.layer_widths;
  const int count = options.layer_count;
  std::size_t floats = as_size(widths[count - 1]);  // the density row
  for (int i = 0; i < count; ++i) {
    floats += as_size(round_up(widths[i + 1], kernel_rows)) * as_size(widths[i] + 1);
  }
  layers_ = AlignedFloats(floats);
  float* next = layers_.data();
  int rows = 3 * model_.channels + kernel_max_lanes;
  for (int i = 0; i < count; ++i) {
    const int inputs = widths[i], outputs = widths[i + 1];
    const int padded = round_up(outputs, kernel_rows);
    const bool mean = i == 0 && options.reduction == LRM_REDUCTION_MEAN;
    float* panels = next;
    float* bias = panels + as_size(padded) * as_size(inputs);
    next = bias + padded;
    write_panels(weights[i], inputs, outputs, mean ? 1.0f / 3.0f : 1.0f, panels);
    if (biases[i] != nullptr) std::copy_n(biases[i], outputs, bias);
    model_.layers[i] = {panels, bias, inputs, outputs};
    rows = std::max(rows, padded);
  }
  model_.layer_count = count;
  // A single layer reads the features themselves, so a mean counts for the density row as well.
  const bool mean = count == 1 && options.reduction == LRM_REDUCTION_MEAN;
  for (int k = 0; k < widths[count - 1]; ++k) {
    next[k] = weights[count - 1][k] * (mean ? 1.0f / 3.0f : 1.0f);
  }
  model_.density_row = next;
  model_.buffer_rows = rows;
}

void Decoder::evaluate(const float* xyz, std::size_t n, Output output, float* density,
                       float* rgb) const {
  AlignedFloats scratch(2 * as_size(model_.buffer_rows) * kernel_block);
  for (std::size_t i = 0; i < n; i += kernel_block) {
    const int count = static_cast<int>(std::min<std::size_t>(n - i, kernel_block));
    kernel_->decode(model_, xyz + 3 * i, count, output, density + i,
                    rgb == nullptr ? nullptr : rgb + 3 * i, scratch.data());
  }
}

float Decoder::raw_for_density(float density) const {
  double raw = density;
  if (model_.density_activation == LRM_DENSITY_EXP) raw = std::log(raw);
  if (model_.density_activation == LRM_DENSITY_SOFTPLUS) raw += std::log(-std::expm1(-raw));
  return static_cast<float>(raw - static_cast<double>(model_.density_bias));
}

}  // namespace lrm
