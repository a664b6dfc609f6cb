// What a .lrmnet file says: the steps from a picture to planes, all memory planned.
// docs/ENGINE.md describes the file; every offset is checked here, so that a run checks nothing.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "mapped_file.h"

namespace lrm {

constexpr int plan_max_rank = 8;

// A value of a step: floats of the arena, or constant ones of the file.
struct Operand {
  bool constant = false;
  std::int64_t at = 0;
};

struct Dimension {
  std::int64_t size, first_stride, second_stride;
};

// out = in, element by element along strides: first_stride of in, second_stride of out.
struct CopyStep {
  Operand in;
  std::int64_t out;
  std::vector<Dimension> dimensions;
};

enum BinaryKind { binary_add = 0, binary_subtract = 1, binary_multiply = 2, binary_divide = 3 };

// out, contiguous, = first (kind) second along their strides.
struct BinaryStep {
  int kind;
  Operand first, second;
  std::int64_t out;
  std::vector<Dimension> dimensions;
};

struct UnaryStep {
  int activation;  // LinearActivation
  std::int64_t in, out, count;
};

struct LayerNormStep {
  std::int64_t in, out;
  int rows, width;
  float epsilon;
  std::int64_t scale, bias;  // of the constants; -1: none
};

struct LinearStep {
  std::int64_t in, in_stride;
  int rows, inputs, outputs;
  bool bfloat16;        // the matrix, and the precision of products
  std::int64_t matrix;  // bytes from the start of the constants
  std::int64_t bias;    // of the constants; -1: none
  int activation;
  std::int64_t residual, residual_stride;  // residual -1: none
  std::int64_t out, out_stride;
};

struct AttentionStep {
  std::int64_t q, q_stride, k, k_stride, v, v_stride, out, out_stride;
  int heads, queries, keys, width;
  float scale;
  bool bfloat16;  // the precision of products
};

struct DepthwiseStep {
  std::int64_t in;
  int height, width, channels, kernel, stride, top, left, out_height, out_width;
  std::int64_t matrix, bias;  // of the constants; bias -1: none
  int activation;
  std::int64_t out;
};

using PlanStep = std::variant<CopyStep, BinaryStep, UnaryStep, LayerNormStep, LinearStep,
                              AttentionStep, DepthwiseStep>;

struct NetworkPlan {
  std::int64_t weights_at;  // bytes
  std::int64_t weight_bytes;
  bool bfloat16;  // of most matrices; each step says its own
  std::int64_t arena_floats;
  std::int64_t image[3];  // channels, height, width
  std::int64_t image_at;
  std::int64_t planes[4];
  std::int64_t planes_at;
  std::vector<PlanStep> steps;
};

// Throws LRM_ERROR_INVALID_ARGUMENT, with what is wrong, for anything that is not a sound plan.
NetworkPlan read_network_plan(const MappedFile& file);

}  // namespace lrm
