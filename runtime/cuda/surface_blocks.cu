// Passes 1 and 2 of surface.cuh: which blocks the surface passes through, and their densities.
#include "surface.cuh"

// inside [ticks, ticks, ticks]; one tick per thread.
extern "C" __global__ void __launch_bounds__(128)
    lrm_surface_ticks(const void* __restrict__ planes, const void* __restrict__ layers,
                      const lrm::SurfaceJob* __restrict__ job_address,
                      unsigned char* __restrict__ inside) {
  using namespace lrm;
  const SurfaceJob& job = *job_address;
  const long long i = thread_index(), m = job.ticks;
  const bool active = i < m * m * m;
  const int tick[3] = {static_cast<int>(i / (m * m)), static_cast<int>(i / m % m),
                       static_cast<int>(i % m)};
  int node[3];
  for (int axis = 0; axis < 3; ++axis) {
    const int last = job.grid.side() - 1;
    node[axis] = tick[axis] * job.stride < last ? tick[axis] * job.stride : last;
  }
  const float density = node_density({planes, layers}, job.grid, active, node);
  if (active) inside[i] = density > job.threshold;
}

// Claims the blocks with ticks of both kinds; one block per thread. The table is zeroed before.
extern "C" __global__ void lrm_surface_seeds(const lrm::SurfaceJob* __restrict__ job_address,
                                             const unsigned char* __restrict__ inside,
                                             unsigned* claimed, int* slot_of_block,
                                             int* block_of_slot, int* count) {
  using namespace lrm;
  const SurfaceJob& job = *job_address;
  const long long i = thread_index();
  if (i >= static_cast<long long>(job.blocks) * job.blocks * job.blocks) return;
  const int block = static_cast<int>(i), per_block = block_cells / job.stride;
  int at[3], first[3], last[3];
  split_block(job, block, at);
  for (int axis = 0; axis < 3; ++axis) {
    first[axis] = at[axis] * per_block;
    last[axis] = first[axis] + per_block < job.ticks ? first[axis] + per_block : job.ticks - 1;
  }
  int seen = 0;  // bit 0: outside, bit 1: inside
  for (int x = first[0]; x <= last[0]; ++x) {
    for (int y = first[1]; y <= last[1]; ++y) {
      const unsigned char* row = inside + (static_cast<long long>(x) * job.ticks + y) * job.ticks;
      for (int z = first[2]; z <= last[2]; ++z) seen |= 1 << row[z];
    }
  }
  if (seen == 3) claim({claimed, slot_of_block, block_of_slot, count}, block);
}

// values [slots, 9, 9, 9]: densities of the nodes of the slots from first_slot on, one per thread.
extern "C" __global__ void __launch_bounds__(128)
    lrm_surface_values(const void* __restrict__ planes, const void* __restrict__ layers,
                       const lrm::SurfaceJob* __restrict__ job_address,
                       const int* __restrict__ block_of_slot, int first_slot, int slots,
                       float* __restrict__ values) {
  using namespace lrm;
  const SurfaceJob& job = *job_address;
  const long long i = thread_index();
  const bool active = i < static_cast<long long>(slots) * block_nodes;
  const int slot = active ? first_slot + static_cast<int>(i / block_nodes) : first_slot;
  const int local = static_cast<int>(i % block_nodes);
  int at[3];
  split_block(job, block_of_slot[slot], at);
  const int node[3] = {at[0] * block_cells + local / block_rows,
                       at[1] * block_cells + local / block_side % block_side,
                       at[2] * block_cells + local % block_side};
  // Nodes beyond the grid belong to no cell.
  const int side = job.grid.side();
  const bool in_grid = node[0] < side && node[1] < side && node[2] < side;
  const float density = node_density({planes, layers}, job.grid, active && in_grid, node);
  if (active) {
    values[static_cast<long long>(slot) * block_nodes + local] = in_grid ? density : 0.0f;
  }
}

// Claims the neighbours that the surface goes on in; one face of a block per thread.
extern "C" __global__ void lrm_surface_spread(const lrm::SurfaceJob* __restrict__ job_address,
                                              const float* __restrict__ values, int first_slot,
                                              int slots, unsigned* claimed, int* slot_of_block,
                                              int* block_of_slot, int* count) {
  using namespace lrm;
  const SurfaceJob& job = *job_address;
  const long long i = thread_index();
  if (i >= 6LL * slots) return;
  const int slot = first_slot + static_cast<int>(i / 6);
  const int axis = static_cast<int>(i % 6) / 2, high = static_cast<int>(i % 6) % 2;
  int at[3];
  split_block(job, block_of_slot[slot], at);
  const int u = (axis + 1) % 3, v = (axis + 2) % 3;
  int ends[3];
  for (int a = 0; a < 3; ++a) {
    const int nodes = job.grid.side() - at[a] * block_cells;
    ends[a] = nodes < block_side ? nodes : block_side;
  }
  at[axis] += high ? 1 : -1;
  if (at[axis] < 0 || at[axis] >= job.blocks) return;
  const int steps[3] = {block_rows, block_side, 1};
  const float* face = values + static_cast<long long>(slot) * block_nodes;
  if (high) face += block_cells * steps[axis];
  int seen = 0;
  for (int j = 0; j < ends[u]; ++j) {
    for (int k = 0; k < ends[v]; ++k) {
      seen |= 1 << (face[j * steps[u] + k * steps[v]] > job.threshold);
    }
  }
  if (seen == 3) claim({claimed, slot_of_block, block_of_slot, count}, block_index(job, at));
}

// slot_of_rank [count], from the scanned `claimed`; one block of the table per thread.
extern "C" __global__ void lrm_surface_ranks(int blocks, const unsigned* __restrict__ claimed,
                                             const unsigned* __restrict__ rank_of_block,
                                             const int* __restrict__ slot_of_block,
                                             int* __restrict__ slot_of_rank) {
  using namespace lrm;
  const long long i = thread_index();
  if (i < blocks && claimed[i] != 0) slot_of_rank[rank_of_block[i]] = slot_of_block[i];
}
