// Half precision and the matrix product of a warp, on a CPU, as the PTX ISA says: section "Matrix
// Fragments for mma.m16n8k16 with floating point type", cvt.rn.satfinite.
//
// Products are exact and summed in float32; a GPU sums them in an order of its own.
#pragma once

#include <cmath>
#include <cstring>

#include "host_threads.h"

namespace lrm::shim {

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

template <bool kBfloat16>
std::uint16_t rounded(float value) {
  return kBfloat16 ? to_bfloat16(value) : to_half(value);
}
template <bool kBfloat16>
float widened(unsigned bits) {
  const auto low = static_cast<std::uint16_t>(bits);
  return kBfloat16 ? from_bfloat16(low) : from_half(low);
}

// A lane's part of mma.m16n8k16: a four registers, b two, of two numbers each; sums four.
struct MatrixOperands {
  unsigned a[4], b[2];
};

inline thread_local long long matrix_products = 0;  // of warps

template <bool kBfloat16>
void multiply_fragments(const void* const* given, void* const* taken) {
  float a[16][16], b[16][8];
  for (unsigned lane = 0; lane < lanes; ++lane) {
    const auto& operands = *static_cast<const MatrixOperands*>(given[lane]);
    const unsigned group = lane / 4, member = lane % 4;
    for (unsigned r = 0; r < 4; ++r) {
      float* pair = &a[group + 8 * (r % 2)][2 * member + 8 * (r / 2)];
      pair[0] = widened<kBfloat16>(operands.a[r]);
      pair[1] = widened<kBfloat16>(operands.a[r] >> 16);
    }
    for (unsigned r = 0; r < 2; ++r) {
      b[2 * member + 8 * r][group] = widened<kBfloat16>(operands.b[r]);
      b[2 * member + 8 * r + 1][group] = widened<kBfloat16>(operands.b[r] >> 16);
    }
  }
  for (unsigned lane = 0; lane < lanes; ++lane) {
    auto* sums = static_cast<float*>(taken[lane]);
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
      for (unsigned k = 0; k < 16; ++k) sums[i] += a[row][k] * b[k][column];
    }
  }
  ++matrix_products;
}

}  // namespace lrm::shim
