// Passes 3 to 5 of surface.cuh: counts, edges and faces.
#include "surface_rows.cuh"

namespace lrm {

__constant__ const CaseTable case_table = make_case_table();

// Where the vertex of an edge is numbered.
struct VertexTable {
  const unsigned* rank_of_block;
  const unsigned* edges;          // [ranks * 81], crossed_edges
  const unsigned* vertex_offset;  // [ranks * 81]

  LRM_HOST_DEVICE unsigned vertex(const SurfaceJob& job, const int node[3], int axis) const {
    int block[3], local[3];
    for (int a = 0; a < 3; ++a) {
      block[a] = owner(job, node[a]);
      local[a] = node[a] - block[a] * block_cells;
    }
    const long long row =
        static_cast<long long>(rank_of_block[block_index(job, block)]) * block_rows +
        local[0] * block_side + local[1];
    const unsigned before = (1u << (3 * local[2] + axis)) - 1u;
    return vertex_offset[row] + static_cast<unsigned>(count_bits(edges[row] & before));
  }
};

}  // namespace lrm

// edges, vertex_count, face_count [rows]; one row per thread, 81 rows to a block.
extern "C" __global__ void lrm_surface_count(const lrm::SurfaceJob* __restrict__ job_address,
                                             const int* __restrict__ slot_of_rank,
                                             const int* __restrict__ block_of_slot,
                                             const float* __restrict__ values, long long rows,
                                             unsigned* __restrict__ edges,
                                             unsigned* __restrict__ vertex_count,
                                             unsigned* __restrict__ face_count) {
  using namespace lrm;
  const long long i = thread_index();
  if (i >= rows) return;
  const SurfaceJob& job = *job_address;
  const Row row = row_of(job, {slot_of_rank, block_of_slot, values}, i);
  edges[i] = crossed_edges(job, row);
  vertex_count[i] = static_cast<unsigned>(count_bits(edges[i]));
  unsigned faces = 0;
  for (int z = 0; z < row_cells(job, row); ++z) {
    faces += case_table.cases[cell_mask(job, row, z)].triangle_count;
  }
  face_count[i] = faces;
}

// edge_node [vertices, 4]: the low end's node and the axis; edge_density [vertices, 2]: low, high.
extern "C" __global__ void lrm_surface_edges(
    const lrm::SurfaceJob* __restrict__ job_address, const int* __restrict__ slot_of_rank,
    const int* __restrict__ block_of_slot, const float* __restrict__ values, long long rows,
    const unsigned* __restrict__ edges, const unsigned* __restrict__ vertex_offset,
    int* __restrict__ edge_node, float* __restrict__ edge_density) {
  using namespace lrm;
  const long long i = thread_index();
  if (i >= rows || edges[i] == 0) return;
  const Row row = row_of(*job_address, {slot_of_rank, block_of_slot, values}, i);
  long long vertex = vertex_offset[i];
  for (int bit = 0; bit < 3 * block_side; ++bit) {
    if (!(edges[i] >> bit & 1)) continue;
    const int z = bit / 3, axis = bit % 3;
    edge_node[4 * vertex] = row.origin[0] + row.x;
    edge_node[4 * vertex + 1] = row.origin[1] + row.y;
    edge_node[4 * vertex + 2] = row.origin[2] + z;
    edge_node[4 * vertex + 3] = axis;
    edge_density[2 * vertex] = row.value(0, 0, z);
    edge_density[2 * vertex + 1] = row.value(axis == 0, axis == 1, z + (axis == 2));
    ++vertex;
  }
}

// faces [face count, 3]
extern "C" __global__ void lrm_surface_faces(
    const lrm::SurfaceJob* __restrict__ job_address, const int* __restrict__ slot_of_rank,
    const int* __restrict__ block_of_slot, const float* __restrict__ values, long long rows,
    const unsigned* __restrict__ rank_of_block, const unsigned* __restrict__ edges,
    const unsigned* __restrict__ vertex_offset, const unsigned* __restrict__ face_offset,
    unsigned* __restrict__ faces) {
  using namespace lrm;
  const long long i = thread_index();
  if (i >= rows) return;
  const SurfaceJob& job = *job_address;
  const Row row = row_of(job, {slot_of_rank, block_of_slot, values}, i);
  const VertexTable table{rank_of_block, edges, vertex_offset};
  unsigned* face = faces + 3LL * face_offset[i];
  for (int z = 0; z < row_cells(job, row); ++z) {
    const CellCase& triangles = case_table.cases[cell_mask(job, row, z)];
    for (int k = 0; k < 3 * triangles.triangle_count; ++k) {
      const int edge = triangles.edges[k], axis = edge / 4;
      const int u = (axis + 1) % 3, v = (axis + 2) % 3;
      int node[3] = {row.origin[0] + row.x, row.origin[1] + row.y, row.origin[2] + z};
      node[u] += edge & 1;
      node[v] += edge >> 1 & 1;
      *face++ = table.vertex(job, node, axis);
    }
  }
}
