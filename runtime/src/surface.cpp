#include "surface.h"

#include <algorithm>

#include "field.h"
#include "parallel.h"
#include "surface_attributes.h"
#include "surface_dense.h"
#include "surface_faces.h"
#include "surface_layers.h"
#include "surface_sampler.h"
#include "surface_seeds.h"
#include "surface_tracking.h"
#include "surface_vertices.h"

namespace lrm {
namespace {

[[noreturn]] void throw_empty(float threshold, float lowest, float highest, const char* advice) {
  throw Error(LRM_ERROR_EMPTY_SURFACE,
              "no surface: expected densities on both sides of the threshold %g, got %g to %g; %s",
              static_cast<double>(threshold), static_cast<double>(lowest),
              static_cast<double>(highest), advice);
}

// Shares of the work, as measured on a typical object, for an even progress.
constexpr float seeds_done = 0.15f, crossings_done = 0.45f, vertices_done = 0.7f;

class FieldExtraction {
 public:
  FieldExtraction(const Field& field, const lrm_mesh_options& options)
      : options_(options),
        grid_{options.resolution, options.close_border, static_cast<double>(field.half_extent())},
        progress_(options.progress, options.user_data),
        sampler_(field),
        budget_(options.max_bytes) {}

  SurfaceMesh run() {
    SurfaceCrossings crossings = options_.exhaustive == 1 ? sweep() : track();
    if (crossings.cells.empty()) throw_nothing_found();
    const MemoryCharge crossings_charge(budget_, crossings.bytes());
    const MemoryCharge mesh_charge(budget_, mesh_bytes(crossings));
    SurfaceMesh mesh;
    mesh.vertices = place_vertices(crossings.edges);
    mesh.faces = make_faces(grid_, crossings, sampler_.field().thread_count(), budget_);
    set_attributes(crossings.edges, options_.normals == 1, options_.colors == 1, &mesh, sampler_,
                   progress_.part(vertices_done, 1.0f));
    move_to_sdk(mesh);
    mesh.evaluations = sampler_.statistics().evaluations;
    progress_.report(1.0f);
    return mesh;
  }

 private:
  SurfaceCrossings sweep() {
    const std::vector<int> ticks = sweep_ticks(grid_, 1);
    return sweep_grid(grid_, options_.threshold, field_layers(grid_, ticks, sampler_),
                      sampler_.field().thread_count(), budget_,
                      progress_.part(0.0f, crossings_done));
  }

  SurfaceCrossings track() {
    const int stride =
        options_.seed_stride > 0 ? options_.seed_stride : choose_seed_stride(grid_.points);
    const std::vector<SurfaceSeed> seeds = find_seeds(grid_, options_.threshold, stride, sampler_,
                                                      budget_, progress_.part(0.0f, seeds_done));
    return track_surface(grid_, options_.threshold, seeds, sampler_, budget_,
                         progress_.part(seeds_done, crossings_done));
  }

  [[noreturn]] void throw_nothing_found() const {
    const SampleStatistics& seen = sampler_.statistics();
    throw_empty(options_.threshold, seen.lowest, seen.highest,
                options_.exhaustive == 1
                    ? "choose a threshold between these"
                    : "choose a threshold between these, or look closer with a smaller seed_stride "
                      "or with exhaustive");
  }

  // Vertices, normals, colours with their densities, and two faces for each vertex.
  std::uint64_t mesh_bytes(const SurfaceCrossings& crossings) const {
    const int floats = 3 + 3 * options_.normals + 4 * options_.colors;
    return crossings.edges.size() *
           (static_cast<std::size_t>(floats) * sizeof(float) + 6 * sizeof(std::uint32_t));
  }

  std::vector<float> place_vertices(const std::vector<SurfaceEdge>& edges) {
    if (options_.refine_steps == 0) return interpolate_vertices(grid_, options_.threshold, edges);
    return refine_vertices(grid_, options_.threshold, options_.refine_steps, edges, sampler_,
                           progress_.part(crossings_done, vertices_done));
  }

  template <class Map>
  static void map_vectors(std::vector<float>& vectors, const Map& map) {
    for (std::size_t i = 0; i < vectors.size(); i += 3) {
      const double native[3] = {vectors[i], vectors[i + 1], vectors[i + 2]};
      double sdk[3];
      map(native, sdk);
      for (std::size_t a = 0; a < 3; ++a) vectors[i + a] = static_cast<float>(sdk[a]);
    }
  }

  void move_to_sdk(SurfaceMesh& mesh) const {
    const Frame& frame = sampler_.field().frame();
    map_vectors(mesh.vertices, [&](const double* in, double* out) { frame.point_to_sdk(in, out); });
    map_vectors(mesh.normals,
                [&](const double* in, double* out) { frame.direction_to_sdk(in, out); });
  }

  const lrm_mesh_options& options_;
  SurfaceGrid grid_;
  Progress progress_;
  SurfaceSampler sampler_;
  MemoryBudget budget_;
};

}  // namespace

SurfaceMesh extract_surface(const Field& field, const lrm_mesh_options& options) {
  return FieldExtraction(field, options).run();
}

SurfaceMesh extract_grid_surface(const float* density, int points, float half, float threshold,
                                 bool close_border) {
  const SurfaceGrid grid{points, close_border ? 1 : 0, static_cast<double>(half)};
  const int threads = available_threads();
  MemoryBudget unlimited(0);
  const SurfaceCrossings crossings =
      sweep_grid(grid, threshold, grid_layers(grid, density), threads, unlimited, {});
  if (crossings.cells.empty()) {
    const auto n = static_cast<std::size_t>(points);
    const auto range = std::minmax_element(density, density + n * n * n);
    throw_empty(threshold, *range.first, *range.second, "choose a threshold between these");
  }
  SurfaceMesh mesh;
  mesh.vertices = interpolate_vertices(grid, threshold, crossings.edges);
  mesh.faces = make_faces(grid, crossings, threads, unlimited);
  return mesh;
}

}  // namespace lrm
