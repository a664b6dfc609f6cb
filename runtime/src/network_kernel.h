// What the network's kernels are given: the steps of a plan that cost time, in pieces for threads.
// Plain data only, for the reason that decoder_kernel.h gives.
#pragma once

namespace lrm {

enum LinearActivation {
  linear_identity = 0,
  linear_gelu = 1,       // by the error function
  linear_gelu_tanh = 2,  // by its approximation
  linear_silu = 3,
  linear_relu = 4,
  linear_geglu = 5,  // of 16 outputs in turn values and their gates: value * gelu(gate)
  linear_relu6 = 6,  // clipped to [0, 6]
};

// Outputs of a matrix come in groups of this.
constexpr int linear_group = 32;

// y = activation(x matrix^T + bias) + residual, row by row. Strides in floats. y may be residual.
struct LinearWork {
  const float* x;
  long long x_stride;
  int rows;
  int inputs;
  int outputs;         // of the matrix
  const void* matrix;  // [outputs, inputs], float32 or bfloat16
  bool bfloat16;       // that it is; products then need no more precision
  const float* bias;   // [outputs] or NULL
  int activation;      // LinearActivation
  const float* residual;
  long long residual_stride;
  float* y;
  long long y_stride;
};

// softmax(scale q k^T) v for each head, which has `width` columns of q, k, v and y.
struct AttentionWork {
  const float *q, *k, *v;
  long long q_stride, k_stride, v_stride;
  int heads, queries, keys, width;
  float scale;
  bool bfloat16;  // products need no more precision
  float* y;
  long long y_stride;
};

// A convolution of each channel by itself. Values [height, width, channels], 0 outside.
struct DepthwiseWork {
  const float* x;
  int height, width, channels;
  int kernel;           // its side
  int stride;           // between the places that it is put at
  int top, left;        // rows and columns of zeros before the first
  const float* matrix;  // [kernel, kernel, channels]
  const float* bias;    // [channels] or NULL
  int activation;       // LinearActivation without geglu
  float* y;             // [y_height, y_width, channels]
  int y_height, y_width;
};

struct LayerNormWork {
  const float* x;
  int rows, width;
  float epsilon;
  const float *scale, *bias;  // [width] or NULL
  float* y;
};

// Buffers are aligned to 64 bytes.
struct NetworkKernel {
  // Rows of x are packed first, in blocks of row_block; every thread may pack some.
  int (*row_block)(const LinearWork&);
  long long (*packed_rows_bytes)(const LinearWork&);
  void (*pack_rows)(const LinearWork&, int first, int count, void* packed);
  // Outputs [first, first + count) of all rows; both are multiples of linear_group, but at the end.
  long long (*linear_scratch_bytes)(const LinearWork&, int count);
  void (*linear)(const LinearWork&, const void* packed, int first, int count, void* scratch);

  // Keys and values of each head first, then queries in pieces of any size.
  long long (*packed_head_bytes)(const AttentionWork&);
  void (*pack_head)(const AttentionWork&, int head, void* packed);
  long long (*attention_scratch_bytes)(const AttentionWork&, int count);
  void (*attention)(const AttentionWork&, const void* packed_head, int head, int first, int count,
                    void* scratch);

  void (*layer_norm)(const LayerNormWork&, int first, int count);
  // Rows [first, first + count) of y.
  void (*depthwise)(const DepthwiseWork&, int first, int count);
  // activation: LinearActivation without geglu; y may be x.
  void (*activate)(int activation, const float* x, long long count, float* y);
};

extern const NetworkKernel portable_network_kernel;
#if defined(__x86_64__)
extern const NetworkKernel avx2_network_kernel;
extern const NetworkKernel avx512_network_kernel;
extern const NetworkKernel amx_network_kernel;
#endif

}  // namespace lrm
