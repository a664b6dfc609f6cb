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

struct KernelLayer {
  const float* panels;      // [ceil(outputs / kernel_rows), inputs, kernel_rows], zero padded
  const float* transposed;  // [ceil(inputs / kernel_rows), outputs, kernel_rows], zero padded
  const float* bias;        // [outputs padded to kernel_rows]
  int inputs;
  int outputs;
};

struct KernelModel {
  // Each [height + 2, width + 2, channel_stride] with a zero border: the first layer's products
  // with the planes' texels. That layer's sum over the planes is what the others begin with.
  const float* planes[3];
  const float* first_bias;  // [channel_stride]
  int channel_stride;       // outputs of the first layer, padded
  int height;
  int width;
  int axes[3][2];
  float column_scale, column_offset;
  float row_scale, row_offset;
  bool silu;  // otherwise ReLU
  int density_activation;
  float density_bias;
  float color_widen;
  int layer_count;  // after the first
  KernelLayer layers[kernel_max_layers];
  const float* density_row;  // the last layer's first row alone, [inputs]
  int buffer_rows;           // rows of kernel_block floats in each of two scratch buffers
  int slope_rows;            // and in each of the layers' blocks of slopes, for gradients
};

// What decode gives; NULL where it is not wanted.
struct Decoded {
  float* density = nullptr;   // [count]
  bool activate = false;      // density as the field means it, otherwise raw
  float* rgb = nullptr;       // [count, 3]
  float* gradient = nullptr;  // [count, 3] of raw density, per native unit
};

// Decodes up to kernel_block points. xyz [count, 3]. scratch, aligned to 64 bytes: 2 buffer_rows
// rows, and for a gradient (layer_count + 1) slope_rows more.
using KernelFunction = void (*)(const KernelModel& model, const float* xyz, int count,
                                const Decoded& decoded, float* scratch);

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
