// How kernels that evaluate many points decode them: in float32 a thread at a time, else on tensor
// cores a warp at a time. What is evaluated at vertices (refinement, normals, colours) is float32
// always.
#pragma once

#include "decoder.cuh"
#if LRM_PRECISION != 0
#include "decoder_tensor.cuh"
#endif

namespace lrm {

// Planes and layers in the layout of decoder.cuh or decoder_tensor.cuh; device memory, aligned to
// 16 bytes.
struct Sampler {
  const void* planes;
  const void* layers;

  // The field at each thread's point. Called by all threads of a warp at once, those without a
  // point too: active is false there, and so is the result.
  __device__ Raw decode(bool active, const float xyz[3]) const {
#if LRM_PRECISION != 0
    const float at[3] = {active ? xyz[0] : 0.0f, active ? xyz[1] : 0.0f, active ? xyz[2] : 0.0f};
    return decode_warp(static_cast<const unsigned short*>(planes),
                       static_cast<const unsigned*>(layers), at);
#else
    if (!active) return {};
    const FieldData field{static_cast<const float*>(planes), static_cast<const float*>(layers)};
    return lrm::decode(field, xyz);
#endif
  }
};

}  // namespace lrm
