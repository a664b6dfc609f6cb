#include "decoder.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "amx_permission.h"
#include "field_semantics.h"
#include "sizes.h"

namespace lrm {
namespace {

static_assert(LRM_DENSITY_EXP == density_exp && LRM_DENSITY_RELU == density_relu &&
                  LRM_DENSITY_SOFTPLUS == density_softplus &&
                  LRM_ACTIVATION_SILU == activation_silu,
              "field_semantics.h numbers activations as lrm.h does");

#if defined(__x86_64__)
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("fma");
}
#endif

// For tiles, asks the system to grant them.
bool machine_runs(const Kernel& kernel) {
#if defined(__x86_64__)
  if (&kernel == &amx_kernel) return has_avx512() && amx_permitted();
  if (&kernel == &avx512_kernel) return has_avx512();
  if (&kernel == &avx2_kernel) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }
#endif
  return &kernel == &portable_kernel;
}

const Kernel* choose_kernel() {
  static const Kernel* const widest_first[] = {
#if defined(__x86_64__)
      &amx_kernel, &avx512_kernel, &avx2_kernel,
#endif
      &portable_kernel};
  const char* variable = std::getenv("LRM_INSTRUCTION_SET");
  const std::string_view wanted = variable != nullptr ? variable : "";
  // A grant of tiles changes the process for good: whoever names anything else is not to get it.
  const bool may_ask = wanted.empty() || wanted == "amx";
  const Kernel* best = nullptr;
  for (const Kernel* kernel : widest_first) {
    if ((kernel->wants_tiles && !may_ask) || !machine_runs(*kernel)) continue;
    if (best == nullptr) best = kernel;
    if (wanted == kernel->name) return kernel;
  }
  return best;
}

// The columns of the first layer that one plane's channels meet, [channels, stride], zero padded.
AlignedFloats plane_columns(const lrm_field_options& o, const float* weights, int plane,
                            std::size_t stride) {
  const auto channels = as_size(o.plane_channels), inputs = as_size(o.layer_widths[0]);
  const std::size_t first = o.reduction == LRM_REDUCTION_CONCAT ? as_size(plane) * channels : 0;
  const float scale = o.reduction == LRM_REDUCTION_MEAN ? 1.0f / 3.0f : 1.0f;
  AlignedFloats columns(channels * stride);
  for (std::size_t row = 0; row < as_size(o.layer_widths[1]); ++row) {
    for (std::size_t c = 0; c < channels; ++c) {
      columns.data()[c * stride + row] = weights[row * inputs + first + c] * scale;
    }
  }
  return columns;
}

// A line of texels times one plane's columns. texels [channels, count], channels `step` apart;
// projected [count, stride], zeroed.
void project_line(const float* texels, std::size_t step, std::size_t count, std::size_t channels,
                  const float* columns, std::size_t stride, float* projected) {
  for (std::size_t i = 0; i < count; ++i) {
    float* sums = projected + i * stride;
    for (std::size_t c = 0; c < channels; ++c) {
      const float value = texels[c * step + i];
      const float* column = columns + c * stride;
      for (std::size_t row = 0; row < stride; ++row) sums[row] += value * column[row];
    }
  }
}

}  // namespace

const Kernel& kernel_in_use() {
  static const Kernel* const kernel = choose_kernel();
  return *kernel;
}

Decoder::Decoder(const lrm_field_options& options, const float* planes, const float* const* weights,
                 const float* const* biases)
    : kernel_(&kernel_in_use()) {
  const bool align = options.align_corners != 0;
  const TexelMap columns = texel_map(options.plane_width, options.radius, align);
  const TexelMap rows = texel_map(options.plane_height, options.radius, align);
  model_.channel_stride = round_up(options.layer_widths[1], kernel_max_lanes);
  model_.height = options.plane_height;
  model_.width = options.plane_width;
  std::memcpy(model_.axes, options.axes, sizeof model_.axes);
  model_.column_scale = columns.scale;
  model_.column_offset = columns.offset;
  model_.row_scale = rows.scale;
  model_.row_offset = rows.offset;
  model_.silu = options.activation == LRM_ACTIVATION_SILU;
  model_.density_activation = options.density_activation;
  model_.density_bias = options.density_bias;
  model_.color_widen = options.color_widen;
  constant_beyond_ = std::max(lrm::constant_beyond(columns, options.plane_width),
                              lrm::constant_beyond(rows, options.plane_height));
  project_planes(options, planes, weights[0], biases[0]);
  weights_ = DecoderWeights(options, weights, biases, kernel_->wants_tiles, &model_);
  model_.widest = model_.channel_stride;
  for (int i = 0; i < model_.layer_count; ++i) {
    model_.widest = std::max(model_.widest, round_up(model_.layers[i].outputs, kernel_rows));
  }
}

// [3, C, H, W] -> the first layer's products, channel-last, with a border of one zero texel.
void Decoder::project_planes(const lrm_field_options& options, const float* planes,
                             const float* weights, const float* bias) {
  const std::size_t height = as_size(model_.height), width = as_size(model_.width);
  const std::size_t channels = as_size(options.plane_channels);
  const std::size_t stride = as_size(model_.channel_stride);
  const std::size_t plane_floats = (height + 2) * (width + 2) * stride;
  planes_ = AlignedFloats(3 * plane_floats);
  for (int plane = 0; plane < 3; ++plane) {
    const AlignedFloats columns = plane_columns(options, weights, plane, stride);
    const float* source = planes + as_size(plane) * channels * height * width;
    float* target = planes_.data() + as_size(plane) * plane_floats;
    model_.planes[plane] = target;
    for (std::size_t row = 0; row < height; ++row) {
      project_line(source + row * width, height * width, width, channels, columns.data(), stride,
                   target + ((row + 1) * (width + 2) + 1) * stride);
    }
  }
  first_bias_ = AlignedFloats(stride);
  if (bias != nullptr) std::copy_n(bias, options.layer_widths[1], first_bias_.data());
  model_.first_bias = first_bias_.data();
}

void Decoder::evaluate(const float* xyz, std::size_t n, Decoded decoded) const {
  AlignedFloats scratch(
      static_cast<std::size_t>(kernel_->scratch_floats(model_, decoded.gradient != nullptr)));
  kernel_->decode(model_, xyz, static_cast<long long>(n), decoded, scratch.data());
}

void Decoder::raw_density(const float* xyz, std::size_t n, float* raw) const {
  Decoded decoded;
  decoded.density = raw;
  evaluate(xyz, n, decoded);
}

void Decoder::rough_raw_density(const float* xyz, std::size_t n, float* raw) const {
  Decoded decoded;
  decoded.density = raw;
  decoded.rough = true;
  evaluate(xyz, n, decoded);
}

void Decoder::density(const float* xyz, std::size_t n, float* density) const {
  Decoded decoded;
  decoded.density = density;
  decoded.activate = true;
  evaluate(xyz, n, decoded);
}

float Decoder::raw_for_density(float density) const {
  struct StandardMath {
    static double log(double x) { return std::log(x); }
    static double expm1(double x) { return std::expm1(x); }
  };
  const double raw = lrm::raw_for_density<StandardMath>(model_.density_activation, density);
  return static_cast<float>(raw - static_cast<double>(model_.density_bias));
}

}  // namespace lrm
