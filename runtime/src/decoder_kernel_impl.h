// The point decoder: a block of points -> the first layer's sums -> MLP -> density and colour.
//
//   locate    four corner offsets and bilinear weights per plane and point   lanes = points
//   gather    sums of each point over the planes, then transposed            lanes = channels
//   layers    small matrix products with the activation in their epilogue    lanes = points
//   finish    density and colour activations                                 lanes = points
//
// Bilinear interpolation and the first layer are both linear, so the planes hold texels that have
// passed that layer already (see decoder.cpp), and interpolating them is all that is left of it.
//
// Layer values lie row after row, [rows, kernel_block], so that a weight is broadcast and points
// fill the lanes; weights lie in panels in the order they are read (the register blocking of Goto
// and van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication"). Cost per point: the
// multiply-adds of the layers after the first, 12 per output of the first, one exp and one division
// per SiLU. The gradient of raw density (decoder_gradient_impl.h) costs as much again.
//
// Included once per instruction set by decoder_kernel_*.cpp, which set LRM_LANES, LRM_KERNEL and
// LRM_KERNEL_NAME. Everything but the kernel itself has internal linkage.
#include "decoder_finish_impl.h"
#include "decoder_gradient_impl.h"
#include "decoder_layers_impl.h"

namespace lrm {
namespace {

template <bool kSlope>
void run_layers(const KernelModel& m, const Corners& corners, int points, bool density_only,
                Buffers* buffers) {
  if (m.layer_count == 0) {
    run_hidden<Identity, kSlope>(m, corners, points, buffers);
  } else if (m.silu) {
    run_hidden<Silu, kSlope>(m, corners, points, buffers);
  } else {
    run_hidden<Relu, kSlope>(m, corners, points, buffers);
  }
  run_last(m, points, density_only, buffers);
}

void decode_block(const KernelModel& m, const float* xyz, int count, const Decoded& decoded,
                  float* scratch) {
  const int points = (count + tile_points - 1) / tile_points * tile_points;
  Corners corners;
  locate(m, xyz, count, &corners);
  Buffers buffers(m, scratch);
  const bool density_only = decoded.rgb == nullptr;
  if (decoded.gradient == nullptr) {
    run_layers<false>(m, corners, points, density_only, &buffers);
  } else {
    run_layers<true>(m, corners, points, density_only, &buffers);
  }
  const float* raw = buffers.values[0];
  if (decoded.density != nullptr) write_density(m, raw, count, decoded.activate, decoded.density);
  if (decoded.rgb != nullptr) write_color(m, raw, count, decoded.rgb);
  if (decoded.gradient != nullptr) {
    write_gradient(m, corners, points, count, buffers, decoded.gradient);
  }
}

void decode(const KernelModel& m, const float* xyz, long long count, Decoded decoded,
            float* scratch) {
  for (; count > 0; count -= kernel_block, xyz += 3 * kernel_block) {
    const int points = count < kernel_block ? static_cast<int>(count) : kernel_block;
    decode_block(m, xyz, points, decoded, scratch);
    advance(&decoded, points);
  }
}

}  // namespace

const Kernel LRM_KERNEL = {LRM_KERNEL_NAME, false, buffer_floats, decode};

}  // namespace lrm
