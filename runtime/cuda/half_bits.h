// Half precision on the host: as the GPU's cvt.rn.satfinite rounds.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace lrm {

inline float float_of_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline std::uint32_t bits_of_float(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// To the nearest, ties to even; beyond the largest number that one.
inline std::uint16_t to_half(float value) {
  const std::uint16_t sign = static_cast<std::uint16_t>(bits_of_float(value) >> 16 & 0x8000);
  const float magnitude = std::fabs(value);
  if (!(magnitude <= 3.402823466e38f)) {
    return static_cast<std::uint16_t>(std::isnan(value) ? 0x7FFF : sign | 0x7BFF);
  }
  if (magnitude >= 65504.0f) return static_cast<std::uint16_t>(sign | 0x7BFF);
  if (magnitude < 6.103515625e-5f) {  // 2^-14: multiples of 2^-24
    return static_cast<std::uint16_t>(sign | static_cast<int>(std::nearbyint(magnitude * 0x1p24f)));
  }
  const std::uint32_t bits = bits_of_float(magnitude);
  const std::uint32_t rounded = bits + 0x0FFF + (bits >> 13 & 1);
  return static_cast<std::uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

inline float from_half(std::uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const float sign = half & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 0) return sign * static_cast<float>(mantissa) * 0x1p-24f;
  const std::uint32_t infinite = exponent == 31 ? 0x7F800000u : (exponent + 112u) << 23;
  return sign * float_of_bits(infinite | static_cast<std::uint32_t>(mantissa) << 13);
}

inline std::uint16_t to_bfloat16(float value) {
  const std::uint32_t bits = bits_of_float(value);
  if (std::isnan(value)) return 0x7FFF;
  const std::uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  const bool too_large = (rounded & 0x7FFF) > 0x7F7F;
  return static_cast<std::uint16_t>(too_large ? (rounded & 0x8000) | 0x7F7F : rounded);
}

inline float from_bfloat16(std::uint16_t value) {
  return float_of_bits(static_cast<std::uint32_t>(value) << 16);
}

}  // namespace lrm
