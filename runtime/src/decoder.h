// Planes and MLP in the layout that the kernels read, and the choice of kernel.
#pragma once

#include <cstddef>

#include "aligned_array.h"
#include "decoder_kernel.h"
#include "decoder_weights.h"
#include "lrm.h"

namespace lrm {

// Immutable; evaluate() may be called from any number of threads at once.
class Decoder {
 public:
  // Arguments as lrm_field_create, already checked.
  Decoder(const lrm_field_options& options, const float* planes, const float* const* weights,
          const float* const* biases);

  // xyz [n, 3] native; `decoded` has arrays of n. On the calling thread.
  void evaluate(const float* xyz, std::size_t n, Decoded decoded) const;

  void raw_density(const float* xyz, std::size_t n, float* raw) const;
  // To about two digits where that is cheaper, otherwise the same.
  void rough_raw_density(const float* xyz, std::size_t n, float* raw) const;
  void density(const float* xyz, std::size_t n, float* density) const;

  bool rough_is_cheaper() const { return kernel_->wants_tiles && model_.layer_count > 0; }

  int plane_width() const { return model_.width; }
  int plane_height() const { return model_.height; }

  // The raw density that the activation turns into `density` (> 0).
  float raw_for_density(float density) const;

  // Half side of the cube beyond which the field does not change along an axis.
  float constant_beyond() const { return constant_beyond_; }

 private:
  void project_planes(const lrm_field_options& options, const float* planes, const float* weights,
                      const float* bias);

  KernelModel model_{};
  const Kernel* kernel_;
  AlignedFloats planes_;
  AlignedFloats first_bias_;
  DecoderWeights weights_;
  float constant_beyond_;
};

// Chosen once, as lrm_instruction_set says: on Linux, this may ask for tiles, for the whole
// process.
const Kernel& kernel_in_use();

}  // namespace lrm
