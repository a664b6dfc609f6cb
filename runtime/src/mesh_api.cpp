// The C functions of lrm.h that concern meshes.
#include <algorithm>
#include <cmath>
#include <memory>

#include "api_guard.h"
#include "field.h"
#include "mesh_options.h"
#include "mesh_statistics.h"
#include "options.h"
#include "surface.h"

// The opaque handle of lrm.h.
struct lrm_mesh {
  lrm::SurfaceMesh mesh;
};

namespace lrm {
namespace {

// Size of the option struct as it first shipped, for complete_options.
constexpr std::size_t mesh_options_v1 = sizeof(lrm_mesh_options);

void check_grid(const float* density, std::int32_t resolution) {
  const auto n = static_cast<std::size_t>(resolution);
  const float* end = density + n * n * n;
  const float* nan = std::find_if(density, end, [](float value) { return std::isnan(value); });
  if (nan != end) {
    throw Error(LRM_ERROR_NOT_FINITE, "density: expected numbers, got NaN at index %zu",
                static_cast<std::size_t>(nan - density));
  }
}

template <class T>
void copy_out(const std::vector<T>& values, T* out) {
  if (out != nullptr) std::copy(values.begin(), values.end(), out);
}

}  // namespace
}  // namespace lrm

using namespace lrm;  // the C functions below live outside any namespace

void lrm_mesh_options_init(lrm_mesh_options* options) {
  if (options != nullptr) *options = default_mesh_options();
}

lrm_status lrm_field_mesh(const lrm_field* field, const lrm_mesh_options* options,
                          lrm_mesh** mesh) {
  return guarded([&] {
    require_pointer(mesh, "mesh");
    *mesh = nullptr;
    require_pointer(field, "field");
    const lrm_mesh_options complete =
        complete_options(options, default_mesh_options(), mesh_options_v1, "options");
    check_mesh_options(complete);
    *mesh = new lrm_mesh{extract_surface(field->field, complete)};
  });
}

lrm_status lrm_grid_mesh(const float* density, int32_t resolution, float radius, float threshold,
                         int32_t close_border, lrm_mesh** mesh) {
  return guarded([&] {
    require_pointer(mesh, "mesh");
    *mesh = nullptr;
    require_pointer(density, "density");
    require_int(resolution, 2, 2048, "resolution");
    require_radius(radius, "radius");
    require_finite_number(threshold, "threshold");
    require_int(close_border, 0, 1, "close_border");
    check_grid(density, resolution);
    *mesh = new lrm_mesh{
        extract_grid_surface(density, resolution, radius, threshold, close_border == 1)};
  });
}

void lrm_mesh_destroy(lrm_mesh* mesh) { delete mesh; }

lrm_status lrm_mesh_counts(const lrm_mesh* mesh, size_t* vertex_count, size_t* face_count) {
  return guarded([&] {
    require_pointer(mesh, "mesh");
    if (vertex_count != nullptr) *vertex_count = mesh->mesh.vertex_count();
    if (face_count != nullptr) *face_count = mesh->mesh.face_count();
  });
}

lrm_status lrm_mesh_copy(const lrm_mesh* mesh, size_t vertex_count, size_t face_count,
                         float* vertices, float* normals, float* colors, uint32_t* faces) {
  return guarded([&] {
    require_pointer(mesh, "mesh");
    const SurfaceMesh& source = mesh->mesh;
    const bool wants_vertices = vertices != nullptr || normals != nullptr || colors != nullptr;
    if (wants_vertices) check_room(vertex_count, source.vertex_count(), "vertex_count");
    if (faces != nullptr) check_room(face_count, source.face_count(), "face_count");
    check_computed(!source.normals.empty(), normals, "normals");
    check_computed(!source.colors.empty(), colors, "colors");
    copy_out(source.vertices, vertices);
    copy_out(source.normals, normals);
    copy_out(source.colors, colors);
    copy_out(source.faces, faces);
  });
}

std::uint64_t lrm_mesh_evaluation_count(const lrm_mesh* mesh) { return mesh->mesh.evaluations; }
