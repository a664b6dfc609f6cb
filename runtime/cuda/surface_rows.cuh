// Rows of nodes along z, the unit in which crossed edges and faces are counted and numbered.
#pragma once

#include "surface.cuh"

namespace lrm {

// The blocks in rank order with their densities.
struct RankedBlocks {
  const int* slot_of_rank;
  const int* block_of_slot;
  const float* values;
};

// A row of a ranked block: local x and y, and the block's first node.
struct Row {
  int rank, x, y;
  int origin[3];
  const float* block_values;

  LRM_HOST_DEVICE float value(int dx, int dy, int z) const {
    return block_values[(x + dx) * block_rows + (y + dy) * block_side + z];
  }
};

LRM_HOST_DEVICE Row row_of(const SurfaceJob& job, const RankedBlocks& blocks, long long index) {
  Row row;
  row.rank = static_cast<int>(index / block_rows);
  const int local = static_cast<int>(index % block_rows);
  row.x = local / block_side;
  row.y = local % block_side;
  const int slot = blocks.slot_of_rank[row.rank];
  split_block(job, blocks.block_of_slot[slot], row.origin);
  for (int axis = 0; axis < 3; ++axis) row.origin[axis] *= block_cells;
  row.block_values = blocks.values + static_cast<long long>(slot) * block_nodes;
  return row;
}

// The cells of a row of cells, and a cell's mask of corners that are inside.
LRM_HOST_DEVICE int row_cells(const SurfaceJob& job, const Row& row) {
  const int cells = job.grid.cells();
  const bool none = row.x == block_cells || row.y == block_cells ||
                    row.origin[0] + row.x >= cells || row.origin[1] + row.y >= cells;
  if (none) return 0;
  return cells - row.origin[2] < block_cells ? cells - row.origin[2] : block_cells;
}

LRM_HOST_DEVICE int cell_mask(const SurfaceJob& job, const Row& row, int z) {
  int mask = 0;
  for (int c = 0; c < 8; ++c) {
    mask |= (row.value(c & 1, c >> 1 & 1, z + (c >> 2)) > job.threshold) << c;
  }
  return mask;
}

// A bit 3 z + axis for every crossed edge that begins at a node of the row that the block owns.
LRM_HOST_DEVICE unsigned crossed_edges(const SurfaceJob& job, const Row& row) {
  const int side = job.grid.side();
  const int x = row.origin[0] + row.x, y = row.origin[1] + row.y;
  if (x >= side || y >= side) return 0;
  if (owner(job, x) * block_cells != row.origin[0]) return 0;
  if (owner(job, y) * block_cells != row.origin[1]) return 0;
  unsigned edges = 0;
  for (int z = 0; z < block_side && row.origin[2] + z < side; ++z) {
    if (owner(job, row.origin[2] + z) * block_cells != row.origin[2]) break;
    const bool inside = row.value(0, 0, z) > job.threshold;
    const int node[3] = {x, y, row.origin[2] + z};
    for (int axis = 0; axis < 3; ++axis) {
      if (node[axis] + 1 >= side) continue;
      const float next = row.value(axis == 0, axis == 1, z + (axis == 2));
      if ((next > job.threshold) != inside) edges |= 1u << (3 * z + axis);
    }
  }
  return edges;
}

LRM_HOST_DEVICE int count_bits(unsigned bits) {
#if defined(__CUDA_ARCH__)
  return __popc(bits);
#else
  return __builtin_popcount(bits);
#endif
}

}  // namespace lrm
