#include "network_steps.h"

#include <algorithm>
#include <string_view>

#include "decoder.h"
#include "parallel.h"

namespace lrm {
namespace {

// Outputs that a thread multiplies at a time: as many as keep their weights in its level 2 cache.
constexpr int most_columns = 512;
constexpr int queries_at_once = 128;
constexpr std::int64_t rows_at_once = 64;
constexpr std::int64_t values_at_once = 1 << 16;

std::int64_t ceil_div(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }

// body(first, count) for pieces of [0, total).
template <class Body>
void in_pieces(Team& team, std::int64_t total, std::int64_t size, const Body& body) {
  team.run(static_cast<std::size_t>(ceil_div(total, size)), [&](std::size_t task, int worker) {
    const std::int64_t first = static_cast<std::int64_t>(task) * size;
    body(first, std::min(size, total - first), worker);
  });
}

// Columns of a piece: equally many pieces for every thread.
int columns_of(int outputs, int threads) {
  const std::int64_t pieces = threads * ceil_div(outputs, std::int64_t{most_columns} * threads);
  return static_cast<int>(ceil_div(ceil_div(outputs, pieces), linear_group)) * linear_group;
}

// -- copies and arithmetic ------------------------------------------------------------------------

// Calls line(first, second, at) for each line along the last dimension; `at` counts elements.
template <class Line>
void for_lines(const std::vector<Dimension>& dimensions, std::int64_t begin, std::int64_t end,
               const Line& line) {
  const std::size_t outer = dimensions.size() - 1;
  for (std::int64_t number = begin; number < end; ++number) {
    std::int64_t rest = number, first = 0, second = 0;
    for (std::size_t i = outer; i-- > 0;) {
      const Dimension& d = dimensions[i];
      first += rest % d.size * d.first_stride;
      second += rest % d.size * d.second_stride;
      rest /= d.size;
    }
    line(first, second, number * dimensions[outer].size);
  }
}

std::int64_t lines_of(const std::vector<Dimension>& dimensions) {
  std::int64_t lines = 1;
  for (std::size_t i = 0; i + 1 < dimensions.size(); ++i) lines *= dimensions[i].size;
  return lines;
}

template <class Line>
void all_lines(const std::vector<Dimension>& dimensions, Team& team, const Line& line) {
  const std::int64_t size = std::max<std::int64_t>(values_at_once / dimensions.back().size, 1);
  in_pieces(team, lines_of(dimensions), size, [&](std::int64_t first, std::int64_t count, int) {
    for_lines(dimensions, first, first + count, line);
  });
}

void run(const CopyStep& step, const NetworkMemory& memory) {
  const float* in = memory.at(step.in);
  float* out = memory.arena + step.out;
  const Dimension last = step.dimensions.back();
  all_lines(step.dimensions, memory.team,
            [=](std::int64_t first, std::int64_t second, std::int64_t) {
              const float* from = in + first;
              float* to = out + second;
              if (last.first_stride == 1 && last.second_stride == 1) {
                std::copy_n(from, last.size, to);
              } else {
                for (std::int64_t i = 0; i < last.size; ++i) {
                  to[i * last.second_stride] = from[i * last.first_stride];
                }
              }
            });
}

template <class Apply>
void apply_binary(const BinaryStep& step, const NetworkMemory& memory, const Apply& apply) {
  const float *first = memory.at(step.first), *second = memory.at(step.second);
  float* out = memory.arena + step.out;
  const Dimension last = step.dimensions.back();
  all_lines(step.dimensions, memory.team,
            [=](std::int64_t a_at, std::int64_t b_at, std::int64_t at) {
              const float *a = first + a_at, *b = second + b_at;
              float* to = out + at;
              if (last.first_stride == 1 && last.second_stride == 1) {
                for (std::int64_t i = 0; i < last.size; ++i) to[i] = apply(a[i], b[i]);
              } else {
                for (std::int64_t i = 0; i < last.size; ++i) {
                  to[i] = apply(a[i * last.first_stride], b[i * last.second_stride]);
                }
              }
            });
}

void run(const BinaryStep& step, const NetworkMemory& memory) {
  switch (step.kind) {
    case binary_add:
      return apply_binary(step, memory, [](float a, float b) { return a + b; });
    case binary_subtract:
      return apply_binary(step, memory, [](float a, float b) { return a - b; });
    case binary_multiply:
      return apply_binary(step, memory, [](float a, float b) { return a * b; });
    default:
      return apply_binary(step, memory, [](float a, float b) { return a / b; });
  }
}

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

// -- products -------------------------------------------------------------------------------------

LinearWork work_of(const LinearStep& step) {
  LinearWork work = {};
  work.x_stride = step.in_stride;
  work.rows = step.rows;
  work.inputs = step.inputs;
  work.outputs = step.outputs;
  work.bfloat16 = step.bfloat16;
  work.activation = step.activation;
  work.residual_stride = step.residual_stride;
  work.y_stride = step.out_stride;
  return work;
}

void run(const LinearStep& step, const NetworkMemory& memory) {
  const NetworkKernel& kernel = network_kernel_in_use();
  LinearWork work = work_of(step);
  work.x = memory.arena + step.in;
  work.matrix = memory.constants + step.matrix;
  work.bias = memory.constant(step.bias);
  work.residual = step.residual < 0 ? nullptr : memory.arena + step.residual;
  work.y = memory.arena + step.out;
  const std::int64_t block = kernel.row_block(work);
  in_pieces(memory.team, work.rows, block * ceil_div(rows_at_once, block),
            [&](std::int64_t first, std::int64_t count, int) {
              kernel.pack_rows(work, static_cast<int>(first), static_cast<int>(count),
                               memory.packed);
            });
  in_pieces(memory.team, work.outputs, columns_of(work.outputs, memory.team.thread_count()),
            [&](std::int64_t first, std::int64_t count, int worker) {
              kernel.linear(work, memory.packed, static_cast<int>(first), static_cast<int>(count),
                            memory.scratch + worker * memory.scratch_bytes);
            });
}

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

NetworkBytes bytes_needed(const LinearStep& step, int threads) {
  const NetworkKernel& kernel = network_kernel_in_use();
  const LinearWork work = work_of(step);
  return {kernel.packed_rows_bytes(work),
          kernel.linear_scratch_bytes(work, columns_of(step.outputs, threads))};
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
