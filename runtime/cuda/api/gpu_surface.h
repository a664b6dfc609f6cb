// Surface extraction: the passes of surface.cuh, one after the other, as lrm_sdk/cuda/surface.py.
// Between them only counts come back to the host.
#pragma once

#include <algorithm>
#include <utility>

#include "gpu_field.h"
#include "scan.h"

namespace lrm {

struct GpuMesh {
  DeviceArray<float> vertices, normals, colors;  // [n, 3]; the last two may be empty
  DeviceArray<unsigned> faces;

  std::size_t vertex_count() const { return vertices.count() / 3; }
  std::size_t face_count() const { return faces.count() / 3; }
};

// Nodes between coarse ticks: the CPU stage's choice or the caller's, down to a power of two up
// to 8.
inline int coarse_stride(const lrm_mesh_options& options) {
  if (options.exhaustive != 0) return 1;
  const int chosen = std::max((options.resolution - 1 + 32) / 64, 1);
  const int wanted = options.seed_stride > 0 ? options.seed_stride : chosen;
  int stride = 1;
  while (2 * stride <= std::min(wanted, lrm_kernels::block_cells)) stride *= 2;
  return stride;
}

inline lrm_kernels::SurfaceJob surface_job(const Frame& frame, const lrm_mesh_options& options) {
  lrm_kernels::SurfaceJob job{};
  job.grid = {options.resolution, options.close_border,
              static_cast<double>(lrm_kernels::box_radius)};
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      job.rotation[i][j] = frame.rotation[i][j];
      job.native_to_sdk[i][j] = frame.rotation[i][j] * frame.scale;
    }
    job.native_to_sdk[i][3] = frame.translation[i];
  }
  const int cells = job.grid.cells();
  job.blocks = (cells + lrm_kernels::block_cells - 1) / lrm_kernels::block_cells;
  job.stride = coarse_stride(options);
  job.ticks = (cells + job.stride - 1) / job.stride + 1;
  job.threshold = options.threshold;
  job.refine_steps = options.refine_steps;
  return job;
}

// One call; `run` gives the mesh. Options are complete and checked.
class GpuExtraction {
 public:
  GpuExtraction(const GpuField& field, const lrm_mesh_options& options)
      : field_(field),
        stream_(field.stream()),
        options_(options),
        record_(surface_job(field.frame(), options)),
        blocks_(record_.blocks * record_.blocks * record_.blocks),
        job_(stream_, 1),
        claimed_(DeviceArray<unsigned>::zeros(stream_, size(blocks_))),
        slot_of_block_(stream_, size(blocks_)),
        block_of_slot_(stream_, size(blocks_)),
        count_(DeviceArray<int>::zeros(stream_, 1)) {
    stream_.put(record_, job_.data());
  }

  GpuMesh run() {
    seed();
    const int slots = spread();
    if (slots == 0) raise_empty();
    const DeviceArray<unsigned> rank_of_block = exclusive_scan(stream_, claimed_, blocks_);
    const DeviceArray<int> slot_of_rank(stream_, size(slots));
    launch(lrm_surface_ranks, "lrm_surface_ranks", blocks_, blocks_, claimed_.data(),
           rank_of_block.data(), slot_of_block_.data(), slot_of_rank.data());
    return number(slots * lrm_kernels::block_rows, rank_of_block.data(), slot_of_rank.data());
  }

 private:
  static std::size_t size(std::int64_t count) { return static_cast<std::size_t>(count); }

  template <class Kernel, class... Arguments>
  void launch(Kernel kernel, const char* name, std::int64_t items,
              const Arguments&... arguments) const {
    stream_.launch(kernel, name, items, decode_threads, arguments...);
  }

  void seed() {
    const std::int64_t ticks = 1LL * record_.ticks * record_.ticks * record_.ticks;
    const DeviceArray<unsigned char> inside(stream_, size(ticks));
    launch(lrm_surface_ticks, "lrm_surface_ticks", ticks, field_.sampler().planes,
           field_.sampler().layers, job_.data(), inside.data());
    launch(lrm_surface_seeds, "lrm_surface_seeds", blocks_, job_.data(), inside.data(),
           claimed_.data(), slot_of_block_.data(), block_of_slot_.data(), count_.data());
  }

  // Densities of all blocks that the surface passes through, to values_; the blocks' number.
  int spread() {
    int done = 0, room = 0, count = stream_.download(count_.data());
    while (done < count) {
      if (count > room) {  // seldom a second time: then all is decoded again
        done = 0;
        room = static_cast<int>(std::min<std::int64_t>(2LL * count, blocks_));
        make_pool(room);
      }
      const int fresh = count - done;
      launch(lrm_surface_values, "lrm_surface_values", 1LL * fresh * lrm_kernels::block_nodes,
             field_.sampler().planes, field_.sampler().layers, job_.data(), block_of_slot_.data(),
             done, fresh, values_.data());
      launch(lrm_surface_spread, "lrm_surface_spread", 6LL * fresh, job_.data(), values_.data(),
             done, fresh, claimed_.data(), slot_of_block_.data(), block_of_slot_.data(),
             count_.data());
      done = count;
      count = stream_.download(count_.data());
    }
    return count;
  }

  void make_pool(int slots) {
    const std::size_t nodes = size(slots) * lrm_kernels::block_nodes;
    const std::uint64_t wanted = nodes * sizeof(float);
    if (options_.max_bytes != 0 && wanted > options_.max_bytes) {
      throw Error(
          LRM_ERROR_OUT_OF_MEMORY,
          "max_bytes: expected to stay within %llu bytes, needs at least %llu; raise max_bytes or "
          "lower the resolution",
          static_cast<unsigned long long>(options_.max_bytes),
          static_cast<unsigned long long>(wanted));
    }
    values_ = DeviceArray<float>();  // before the new ones, so that both need not fit
    values_ = DeviceArray<float>(stream_, nodes);
  }

  // Passes 3 to 5: vertices and faces are counted by rows, numbered and made.
  GpuMesh number(int rows, const unsigned* rank_of_block, const int* slot_of_rank) {
    const std::int64_t n = rows;
    const DeviceArray<unsigned> edges(stream_, size(n)), vertex_count(stream_, size(n)),
        face_count(stream_, size(n));
    const int* blocks = block_of_slot_.data();
    launch(lrm_surface_count, "lrm_surface_count", n, job_.data(), slot_of_rank, blocks,
           values_.data(), n, edges.data(), vertex_count.data(), face_count.data());
    const Offsets vertices = numbered(vertex_count, rows);
    const Offsets faces = numbered(face_count, rows);
    const DeviceArray<int> edge_node(stream_, 4 * size(vertices.total));
    const DeviceArray<float> edge_density(stream_, 2 * size(vertices.total));
    GpuMesh mesh;
    mesh.faces = DeviceArray<unsigned>(stream_, 3 * size(faces.total));
    launch(lrm_surface_edges, "lrm_surface_edges", n, job_.data(), slot_of_rank, blocks,
           values_.data(), n, edges.data(), vertices.begin.data(), edge_node.data(),
           edge_density.data());
    launch(lrm_surface_faces, "lrm_surface_faces", n, job_.data(), slot_of_rank, blocks,
           values_.data(), n, rank_of_block, edges.data(), vertices.begin.data(),
           faces.begin.data(), mesh.faces.data());
    finish(edge_node.data(), edge_density.data(), vertices.total, &mesh);
    return mesh;
  }

  // Where each row's items begin, and how many there are in all.
  struct Offsets {
    DeviceArray<unsigned> begin;
    int total;
  };

  Offsets numbered(const DeviceArray<unsigned>& counts, int rows) const {
    DeviceArray<unsigned> begin = exclusive_scan(stream_, counts, rows);
    const unsigned total = stream_.download(begin.data() + rows);
    if (total > INT32_MAX) {
      throw Error(
          LRM_ERROR_INVALID_ARGUMENT,
          "options.resolution: expected a surface of less than 2^31 vertices and faces, got "
          "%u; lower it",
          total);
    }
    return {std::move(begin), static_cast<int>(total)};
  }

  void finish(const int* edge_node, const float* edge_density, int vertices, GpuMesh* mesh) const {
    const std::size_t floats = 3 * size(vertices);
    const DeviceArray<float> native(stream_, floats);
    mesh->vertices = DeviceArray<float>(stream_, floats);
    launch(lrm_surface_vertices, "lrm_surface_vertices", vertices, field_.planes(), field_.layers(),
           job_.data(), edge_node, edge_density, vertices, native.data(), mesh->vertices.data());
    if (options_.normals != 0) mesh->normals = DeviceArray<float>(stream_, floats);
    if (options_.colors != 0) mesh->colors = DeviceArray<float>(stream_, floats);
    if (mesh->normals.empty() && mesh->colors.empty()) return;
    const auto lost = DeviceArray<unsigned char>::zeros(stream_, size(vertices));
    const auto lost_count = DeviceArray<int>::zeros(stream_, 1);
    launch(lrm_surface_attributes, "lrm_surface_attributes", vertices, field_.planes(),
           field_.layers(), job_.data(), edge_node, edge_density, vertices, native.data(),
           mesh->normals.data(), mesh->colors.data(), lost.data(), lost_count.data());
    if (stream_.download(lost_count.data()) > 0) replace_normals(lost.data(), *mesh);
  }

  // Where the field has no gradient, the area-weighted mean of the faces' normals.
  void replace_normals(const unsigned char* lost, const GpuMesh& mesh) const {
    const auto faces = static_cast<std::int64_t>(mesh.face_count());
    const auto vertices = static_cast<int>(mesh.vertex_count());
    const auto sums = DeviceArray<float>::zeros(stream_, mesh.vertices.count());
    launch(lrm_surface_face_normals, "lrm_surface_face_normals", faces, mesh.faces.data(), faces,
           mesh.vertices.data(), lost, sums.data());
    launch(lrm_surface_replace_normals, "lrm_surface_replace_normals", vertices, lost, sums.data(),
           vertices, mesh.normals.data());
  }

  [[noreturn]] void raise_empty() const {
    throw Error(
        LRM_ERROR_EMPTY_SURFACE,
        "no surface: expected densities on both sides of the threshold %g, got none; choose "
        "another threshold within density_grid's values%s",
        static_cast<double>(options_.threshold),
        options_.exhaustive != 0
            ? ""
            : ", or look closer with a smaller seed_stride or with exhaustive");
  }

  const GpuField& field_;
  const Stream& stream_;
  const lrm_mesh_options& options_;
  lrm_kernels::SurfaceJob record_;
  int blocks_;
  DeviceArray<lrm_kernels::SurfaceJob> job_;
  DeviceArray<unsigned> claimed_;
  DeviceArray<int> slot_of_block_, block_of_slot_, count_;
  DeviceArray<float> values_;
};

}  // namespace lrm
