#include "network_linear.h"

#include <algorithm>

#include "network_pieces.h"

namespace lrm {
namespace {

// Outputs that a thread multiplies at a time: as many as keep their weights in its level 2 cache.
constexpr int most_columns = 512;

// Columns of a piece: equally many pieces for every thread.
int columns_of(int outputs, int threads) {
  const std::int64_t pieces = threads * ceil_div(outputs, std::int64_t{most_columns} * threads);
  return static_cast<int>(ceil_div(ceil_div(outputs, pieces), linear_group)) * linear_group;
}

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

}  // namespace

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

}  // namespace lrm
