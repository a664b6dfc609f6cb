#include "network_steps.h"

#include <algorithm>
#include <string_view>

#include "decoder.h"
#include "network_arrays.h"
#include "network_linear.h"
#include "network_pieces.h"

namespace lrm {
namespace {

constexpr int queries_at_once = 128;

void run(const UnaryStep& step, const NetworkMemory& memory) {
  const float* in = memory.arena + step.in;
  float* out = memory.arena + step.out;
  in_pieces(memory.team, step.count, values_at_once,
            [&](std::int64_t first, std::int64_t count, int) {
              network_kernel_in_use().activate(step.activation, in + first, count, out + first);
            });
}

void run(const LayerNormStep& step, const NetworkMemory& memory) {
  const LayerNormWork work = {
      memory.arena + step.in,
      step.rows,
      step.width,
      step.epsilon,
      memory.constant(step.scale),
      memory.constant(step.bias),
      memory.arena + step.out,
  };
  in_pieces(memory.team, step.rows, rows_at_once, [&](std::int64_t first, std::int64_t count, int) {
    network_kernel_in_use().layer_norm(work, static_cast<int>(first), static_cast<int>(count));
  });
}

void run(const DepthwiseStep& step, const NetworkMemory& memory) {
  DepthwiseWork work = {};
  work.x = memory.arena + step.in;
  work.height = step.height;
  work.width = step.width;
  work.channels = step.channels;
  work.kernel = step.kernel;
  work.stride = step.stride;
  work.top = step.top;
  work.left = step.left;
  work.matrix = memory.constant(step.matrix);
  work.bias = memory.constant(step.bias);
  work.activation = step.activation;
  work.y = memory.arena + step.out;
  work.y_height = step.out_height;
  work.y_width = step.out_width;
  in_pieces(memory.team, step.out_height, 1, [&](std::int64_t first, std::int64_t count, int) {
    network_kernel_in_use().depthwise(work, static_cast<int>(first), static_cast<int>(count));
  });
}

// -- attention ------------------------------------------------------------------------------------

AttentionWork work_of(const AttentionStep& step) {
  AttentionWork work = {};
  work.q_stride = step.q_stride;
  work.k_stride = step.k_stride;
  work.v_stride = step.v_stride;
  work.heads = step.heads;
  work.queries = step.queries;
  work.keys = step.keys;
  work.width = step.width;
  work.scale = step.scale;
  work.bfloat16 = step.bfloat16;
  work.y_stride = step.out_stride;
  return work;
}

void run(const AttentionStep& step, const NetworkMemory& memory) {
  const NetworkKernel& kernel = network_kernel_in_use();
  AttentionWork work = work_of(step);
  work.q = memory.arena + step.q;
  work.k = memory.arena + step.k;
  work.v = memory.arena + step.v;
  work.y = memory.arena + step.out;
  const std::int64_t head_bytes = kernel.packed_head_bytes(work);
  in_pieces(memory.team, work.heads, 1, [&](std::int64_t head, std::int64_t, int) {
    kernel.pack_head(work, static_cast<int>(head), memory.packed + head * head_bytes);
  });
  const std::int64_t pieces = ceil_div(work.queries, queries_at_once);
  in_pieces(memory.team, work.heads * pieces, 1, [&](std::int64_t task, std::int64_t, int worker) {
    const std::int64_t head = task / pieces, first = task % pieces * queries_at_once;
    const std::int64_t count = std::min<std::int64_t>(queries_at_once, work.queries - first);
    kernel.attention(work, memory.packed + head * head_bytes, static_cast<int>(head),
                     static_cast<int>(first), static_cast<int>(count),
                     memory.scratch + worker * memory.scratch_bytes);
  });
}

// -- memory ---------------------------------------------------------------------------------------

template <class Step>
NetworkBytes bytes_needed(const Step&, int) {
  return {};
}

NetworkBytes bytes_needed(const AttentionStep& step, int) {
  const NetworkKernel& kernel = network_kernel_in_use();
  const AttentionWork work = work_of(step);
  return {step.heads * kernel.packed_head_bytes(work),
          kernel.attention_scratch_bytes(work, queries_at_once)};
}

}  // namespace

const NetworkKernel& network_kernel_in_use() {
  const std::string_view name = kernel_in_use().name;
#if defined(__x86_64__)
  if (name == "amx") return amx_network_kernel;
  if (name == "avx512") return avx512_network_kernel;
  if (name == "avx2") return avx2_network_kernel;
#endif
  return portable_network_kernel;
}

NetworkBytes bytes_of(const PlanStep& step, int threads) {
  return std::visit([&](const auto& s) { return bytes_needed(s, threads); }, step);
}

void run_step(const PlanStep& step, const NetworkMemory& memory) {
  std::visit([&](const auto& s) { run(s, memory); }, step);
}

}  // namespace lrm
