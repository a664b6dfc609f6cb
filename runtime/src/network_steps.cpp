#include "network_steps.h"

#include <algorithm>
#include <string_view>

#include "decoder.h"
#include "network_arrays.h"
#include "network_pieces.h"

namespace lrm {
namespace {

// Outputs that a thread multiplies at a time: as many as keep their weights in its level 2 cache.
constexpr int most_columns = 512;
constexpr int queries_at_once = 128;
constexpr std::int64_t rows_at_once = 64;

// Columns of a piece: equally many pieces for every thread.
int columns_of(int outputs, int threads) {
  const std::int64_t pieces = threads * ceil_div(outputs, std::int64_t{most_columns} * threads);
  return static_cast<int>(ceil_div(ceil_div(outputs, pieces), linear_group)) * linear_group;
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

// Rows that a thread packs and multiplies itself are cut further until they stay in its level 2
// cache, but to no fewer than pay for packing the weights again.
constexpr long long most_packed_bytes = 1 << 20;
constexpr std::int64_t fewest_rows = 256;
// Rows whose products take as long as packing their weights, about.
constexpr int packing_rows = 16;
// What sharing costs beyond its products, of them: threads wait twice, and read what others packed.
constexpr double sharing = 1.0 / 8;

// `count` rows of a product from the first on.
LinearWork part_of(LinearWork work, std::int64_t first, std::int64_t count) {
  work.rows = static_cast<int>(count);
  work.x += first * work.x_stride;
  work.y += first * work.y_stride;
  if (work.residual != nullptr) work.residual += first * work.residual_stride;
  return work;
}

// Rows of a part that one thread packs and multiplies by all columns; 0 where the threads had
// better share packed rows and split the columns. Products of few outputs are cut into rows.
std::int64_t rows_of_part(const LinearWork& work, int threads) {
  const NetworkKernel& kernel = network_kernel_in_use();
  const std::int64_t columns = ceil_div(work.outputs, linear_group) * linear_group;
  if (columns > most_columns) return 0;
  const std::int64_t block = kernel.row_block(work);
  const auto rows_in = [&](std::int64_t parts) {
    return ceil_div(ceil_div(work.rows, parts), block) * block;
  };
  LinearWork part = work;
  part.rows = static_cast<int>(rows_in(threads));
  const std::int64_t turns = std::min(ceil_div(kernel.packed_rows_bytes(part), most_packed_bytes),
                                      std::max<std::int64_t>(part.rows / fewest_rows, 1));
  const std::int64_t rows = rows_in(threads * turns);
  const std::int64_t own = columns * turns * (rows + packing_rows);
  const std::int64_t shared =
      columns_of(work.outputs, threads) * (std::int64_t{work.rows} + packing_rows);
  return static_cast<double>(own) <= (1 + sharing) * static_cast<double>(shared) ? rows : 0;
}

void run_parts(const LinearWork& work, std::int64_t rows, const NetworkMemory& memory) {
  const NetworkKernel& kernel = network_kernel_in_use();
  in_pieces(memory.team, work.rows, rows, [&](std::int64_t first, std::int64_t count, int worker) {
    unsigned char* scratch = memory.scratch + worker * memory.scratch_bytes;
    const LinearWork part = part_of(work, first, count);
    unsigned char* packed = scratch + kernel.linear_scratch_bytes(work, work.outputs);
    kernel.pack_rows(part, 0, part.rows, packed);
    kernel.linear(part, packed, 0, part.outputs, scratch);
  });
}

void run(const LinearStep& step, const NetworkMemory& memory) {
  const NetworkKernel& kernel = network_kernel_in_use();
  LinearWork work = work_of(step);
  work.x = memory.arena + step.in;
  work.matrix = memory.constants + step.matrix;
  work.bias = memory.constant(step.bias);
  work.residual = step.residual < 0 ? nullptr : memory.arena + step.residual;
  work.y = memory.arena + step.out;
  const std::int64_t rows = rows_of_part(work, memory.team.thread_count());
  if (rows > 0) return run_parts(work, rows, memory);
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
  const std::int64_t rows = rows_of_part(work, threads);
  if (rows > 0) {
    LinearWork part = work;
    part.rows = static_cast<int>(rows);
    return {0, kernel.linear_scratch_bytes(work, work.outputs) + kernel.packed_rows_bytes(part)};
  }
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
