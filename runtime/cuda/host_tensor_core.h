// The matrix product of a warp, on a CPU, as the PTX ISA says: section "Matrix Fragments for
// mma.m16n8k16 with floating point type".
//
// Products are exact and summed in float32; a GPU sums them in an order of its own.
#pragma once

#include "half_bits.h"
#include "host_threads.h"

namespace lrm::shim {

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
