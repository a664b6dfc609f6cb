// The lattice of occupancy.cuh: raw density at its nodes, then per cell a margin and a bit.
#include "occupancy.cuh"
#include "sampler.cuh"

// raw [nodes, nodes, nodes]; one node per thread.
extern "C" __global__ void __launch_bounds__(128)
    lrm_lattice_nodes(const void* __restrict__ planes, const void* __restrict__ layers, int nodes,
                      float* __restrict__ raw) {
  using namespace lrm;
  const long long i = thread_index();
  const bool active = i < static_cast<long long>(nodes) * nodes * nodes;
  const int index = static_cast<int>(i);
  const int at[3] = {index / (nodes * nodes), index / nodes % nodes, index % nodes};
  float xyz[3];
  for (int axis = 0; axis < 3; ++axis)
    xyz[axis] = grid_coordinate(lattice_extent(), at[axis], nodes);
  const float density = Sampler{planes, layers}.decode(active, xyz).density;
  if (active) raw[i] = density;
}

// density_limit  of the samples that a render may skip
// margin         [cells, cells, cells]
// occupied       [ceil(cells^3 / 32)], zeroed before; one cell per thread.
extern "C" __global__ void lrm_lattice_cells(const float* __restrict__ raw, int cells,
                                             float density_limit, float* __restrict__ margin,
                                             unsigned* __restrict__ occupied) {
  using namespace lrm;
  const long long i = thread_index();
  if (i >= static_cast<long long>(cells) * cells * cells) return;
  const int cell = static_cast<int>(i), nodes = cells + 1;
  const int low[3] = {cell / (cells * cells), cell / cells % cells, cell % cells};
  float largest = 0.0f, curvature = 0.0f;
  for (int corner = 0; corner < 8; ++corner) {
    const int at[3] = {low[0] + (corner & 1), low[1] + (corner >> 1 & 1), low[2] + (corner >> 2)};
    const float* value = raw + (at[0] * nodes + at[1]) * nodes + at[2];
    const float bends = node_bend(value, at[0], nodes, static_cast<long long>(nodes) * nodes) +
                        node_bend(value, at[1], nodes, nodes) + node_bend(value, at[2], nodes, 1);
    if (corner == 0 || *value > largest) largest = *value;
    if (bends > curvature) curvature = bends;
  }
  margin[cell] = lattice_margin_per_curvature * curvature;
  if (largest + margin[cell] > raw_for_density(density_limit)) {
    atomicOr(occupied + (cell >> 5), 1u << (cell & 31));
  }
}
