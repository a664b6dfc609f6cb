// The 32 threads that run together.
#pragma once

#include "platform.cuh"

namespace lrm {

constexpr unsigned whole_warp = 0xFFFFFFFFu;
constexpr int warp_lanes = 32;

__device__ inline int lane_index() { return static_cast<int>(threadIdx.x) % warp_lanes; }

}  // namespace lrm
