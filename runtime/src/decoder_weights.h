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
  void add_vectors(const lrm_field_options& options, const float* const* weights,
                   const float* const* biases, KernelModel* model);
  void add_panels(const lrm_field_options& options, const float* const* weights,
                  KernelModel* model);
  void add_tiles(const lrm_field_options& options, const float* const* weights, KernelModel* model);

  AlignedFloats vectors_;  // biases and density_row, each from a cache line on
  AlignedFloats panels_;
  AlignedArray<unsigned short> tiles_;
};

}  // namespace lrm
