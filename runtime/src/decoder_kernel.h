// What a SIMD kernel is given and gives. Plain data only: the kernels are compiled for wider
// instruction sets, and an inline function that they shared with the rest of the library could be
// merged by the linker into a version that an older machine cannot run.
#pragma once

namespace lrm {

// Points decoded at a time. A multiple of three vectors of every width (4, 8 and 16 lanes), and
// small enough that two layers of 64 values (24 KiB) stay in a 32 KiB level 1 cache.
constexpr int kernel_block = 48;

// Rows of a layer computed together: 4 rows x 3 vectors of points make 12 accumulators, which with
// 3 inputs and 1 weight fill the 16 vector registers of AVX2.
constexpr int kernel_rows = 4;

// Largest number of lanes of any kernel; planes and buffers are padded to it.
constexpr int kernel_max_lanes = 16;

constexpr int kernel_max_layers = 32;

enum class Output { kRawDensity, kDensity, kDensityAndColor };

struct KernelLayer {
  const float* panels;  // [ceil(outputs / kernel_rows), inputs, kernel_rows], zero padded
  const float* bias;    // [outputs padded to kernel_rows]
  int inputs;
  int outputs;
};

struct KernelModel {
  const float* planes[3];  // each [height + 2, width + 2, channel_stride] with a zero border
  int channels;
  int channel_stride;
  int height;
  int width;
  int axes[3][2];
  float column_scale, column_offset;
  float row_scale, row_offset;
  bool concat;  // otherwise the planes are summed; a mean is folded into the first layer
  bool silu;    // otherwise ReLU
  int density_activation;
  float density_bias;
  float color_widen;
  int layer_count;
  KernelLayer layers[kernel_max_layers];
  const float* density_row;  // the last layer's first row alone, [inputs]
  int buffer_rows;           // rows of kernel_block floats in each of the two scratch buffers
};

// Decodes up to kernel_block points. xyz [count, 3]; density [count]; rgb [count, 3], only for
// kDensityAndColor. scratch: kernel_scratch_floats(model), aligned to 64 bytes.
using KernelFunction = void (*)(const KernelModel& model, const float* xyz, int count,
                                Output output, float* density, float* rgb, float* scratch);

struct Kernel {
  const char* name;
  KernelFunction decode;
};

extern const Kernel portable_kernel;
#if defined(__x86_64__)
extern const Kernel avx2_kernel;
extern const Kernel avx512_kernel;
#endif

}  // namespace lrm
