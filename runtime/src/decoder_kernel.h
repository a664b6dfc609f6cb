// What a SIMD kernel is given and gives. Plain data only: the kernels are compiled for wider
// instruction sets, and an inline function that they shared with the rest of the library could be
// merged by the linker into a version that an older machine cannot run.
#pragma once

namespace lrm {

// Kernels decode points in blocks; a multiple of this fills the blocks of every kernel.
constexpr int batch_points = 192;

// Rows of a layer computed together: 4 rows x 3 vectors of points make 12 accumulators, which with
// 3 inputs and 1 weight fill the 16 vector registers of AVX2.
constexpr int kernel_rows = 4;

// Largest number of lanes of any kernel; planes and buffers are padded to it.
constexpr int kernel_max_lanes = 16;

constexpr int kernel_max_layers = 32;

// Matrix instructions take 32 inputs at a time and, in our kernel, two tiles of 16 outputs.
constexpr int tile_channels = 32;

// A weight matrix as three bfloat16 matrices whose sum it is, in the order that the matrix kernel
// reads: [pairs of output tiles, tiles of 32 inputs, (low, middle, high), 2, 16, 16, 2]. Inputs j
// and 16 + j of a tile are neighbours (see decoder_tiles_impl.h).
struct KernelTiles {
  const unsigned short* weights;
  int input_tiles;   // of tile_channels
  int output_pairs;  // of tile_channels
};

struct KernelLayer {
  const float* bias;              // [outputs padded to tile_channels]
  const float* panels;            // [ceil(outputs / kernel_rows), inputs, kernel_rows], zero padded
  KernelTiles tiles;              // only if the kernel wants them: then there are no panels
  const unsigned short* rounded;  // with tiles: the matrix as one of bfloat16, [output_pairs,
                                  // input_tiles, 2, 16, 16, 2]
  // For gradients, of every layer but the last, whose first row is density_row.
  const float* transposed;  // [ceil(inputs / kernel_rows), outputs, kernel_rows], zero padded
  KernelTiles transposed_tiles;
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
  const float* density_row;  // the last layer's first row alone, [inputs padded to tile_channels]
  int widest;                // outputs of a layer, the first included and padded
};

// What decode gives; NULL where it is not wanted.
struct Decoded {
  float* density = nullptr;   // [count]
  bool activate = false;      // density as the field means it, otherwise raw
  bool rough = false;         // two digits will do, if they are cheaper; not for gradients
  float* rgb = nullptr;       // [count, 3]
  float* gradient = nullptr;  // [count, 3] of raw density, per native unit
};

struct Kernel {
  const char* name;
  bool wants_tiles;

  // Floats of scratch that a call of decode needs.
  long long (*scratch_floats)(const KernelModel& model, bool gradient);

  // xyz [count, 3]; scratch aligned to 64 bytes.
  void (*decode)(const KernelModel& model, const float* xyz, long long count, Decoded decoded,
                 float* scratch);
};

extern const Kernel portable_kernel;
#if defined(__x86_64__)
extern const Kernel avx2_kernel;
extern const Kernel avx512_kernel;
extern const Kernel amx_kernel;
#endif

}  // namespace lrm
