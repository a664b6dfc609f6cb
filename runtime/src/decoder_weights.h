// The weights of the layers after the first in the layout that a kernel reads.
#pragma once

#include "aligned_array.h"
#include "decoder_kernel.h"
#include "lrm.h"

namespace lrm {

class DecoderWeights {
 public:
  DecoderWeights() = default;

  // Arguments as lrm_field_create; fills the layers of `model`, which point into this object.
  DecoderWeights(const lrm_field_options& options, const float* const* weights,
                 const float* const* biases, bool wants_tiles, KernelModel* model);

 private:
  AlignedFloats floats_;
  AlignedArray<unsigned short> tiles_;
};

}  // namespace lrm
