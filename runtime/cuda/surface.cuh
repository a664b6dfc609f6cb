// Surface extraction, what its kernels share. The passes, as lrm_sdk/cuda/surface.py runs them:
//
//   1. a coarse look at the grid claims the blocks of 8^3 cells that it sees the surface in
//   2. the claimed blocks' 9^3 nodes are decoded; where the surface leaves a block through a face,
//      the neighbour is claimed; until no block is new. So the result equals dense marching cubes
//      on every component that the coarse look saw: the promise of src/surface_tracking.h
//   3. per row of nodes along z: which edges are crossed, how many faces the cells have
//   4. prefix sums over rows number vertices and faces
//   5. edges, then vertices, then normals and colours; faces find their vertices by block and row
//
// Blocks are numbered in the order in which they are claimed ("slots"), which differs from run to
// run, and ranked in the order of the grid, which vertices and faces follow.
#pragma once

#include "../src/marching_cubes_cases.h"
#include "../src/surface_semantics.h"
#include "gradient.cuh"
#include "sampler.cuh"

namespace lrm {

constexpr int block_cells = 8;
constexpr int block_side = block_cells + 1;          // nodes
constexpr int block_rows = block_side * block_side;  // along z
constexpr int block_nodes = block_rows * block_side;

// Of the padding around the grid: less than any threshold, which is positive.
constexpr float padding_density = -1.0f;

// One extraction. lrm_sdk/cuda/surface.py writes the same record.
struct SurfaceJob {
  GridShape grid;
  double native_to_sdk[3][4];
  double rotation[3][3];  // of native_to_sdk, without its scale
  int blocks;             // per axis
  int stride;             // nodes between coarse ticks: 1, 2, 4 or 8
  int ticks;              // per axis: every stride-th node and the last one
  float threshold;
  int refine_steps;
};

// Which blocks take part.
struct BlockTable {
  unsigned* claimed;  // [blocks^3], 0 or 1
  int* slot_of_block;
  int* block_of_slot;
  int* count;
};

LRM_HOST_DEVICE void split_block(const SurfaceJob& job, int block, int at[3]) {
  at[0] = block / (job.blocks * job.blocks);
  at[1] = block / job.blocks % job.blocks;
  at[2] = block % job.blocks;
}

LRM_HOST_DEVICE int block_index(const SurfaceJob& job, const int at[3]) {
  return (at[0] * job.blocks + at[1]) * job.blocks + at[2];
}

// The block that owns a node: the one it is not on a high face of, but at the grid's end.
LRM_HOST_DEVICE int owner(const SurfaceJob& job, int node) {
  const int block = node / block_cells;
  return block < job.blocks ? block : job.blocks - 1;
}

// Density at a grid node; padding is less than any threshold. NaN counts as empty. By all threads
// of a warp, active or not.
__device__ inline float node_density(const Sampler& sampler, const GridShape& grid, bool active,
                                     const int node[3]) {
  const bool padding = grid.is_padding(node[0], node[1], node[2]);
  const float xyz[3] = {grid.coordinate(node[0]), grid.coordinate(node[1]),
                        grid.coordinate(node[2])};
  const float density = density_value(sampler.decode(active && !padding, xyz).density);
  if (padding) return padding_density;
  return density == density ? density : 0.0f;
}

__device__ inline void claim(const BlockTable& table, int block) {
  if (atomicExch(table.claimed + block, 1u) != 0) return;
  const int slot = atomicAdd(table.count, 1);
  table.slot_of_block[block] = slot;
  table.block_of_slot[slot] = block;
}

}  // namespace lrm
