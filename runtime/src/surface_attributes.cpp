#include "surface_attributes.h"

#include <algorithm>
#include <cmath>

#include "parallel.h"
#include "surface.h"

namespace lrm {
namespace {

constexpr std::size_t vertices_per_task = 4 * kernel_block;

template <class Body>  // body(first vertex, count)
void for_vertices(std::size_t n, int threads, const Progress& progress, const Body& body) {
  parallel_for(
      threads, (n + vertices_per_task - 1) / vertices_per_task,
      [&](std::size_t task, int) {
        const std::size_t first = task * vertices_per_task;
        body(first, std::min(vertices_per_task, n - first));
      },
      progress);
}

// Six points around each vertex: + and - along x, y, z.
std::vector<float> star_points(const float* vertices, std::size_t n, float reach) {
  std::vector<float> xyz;
  xyz.reserve(18 * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      for (float offset : {reach, -reach}) {
        for (std::size_t a = 0; a < 3; ++a) {
          xyz.push_back(vertices[3 * i + a] + (a == axis ? offset : 0.0f));
        }
      }
    }
  }
  return xyz;
}

bool normalize(const double vector[3], float* unit) {
  const double length = std::hypot(vector[0], vector[1], vector[2]);
  if (!(length > 0.0) || !std::isfinite(length)) return false;
  for (int axis = 0; axis < 3; ++axis) unit[axis] = static_cast<float>(vector[axis] / length);
  return true;
}

// Along the edge, from its inside end to its outside end.
void edge_direction(const SurfaceEdge& edge, float* unit) {
  for (int axis = 0; axis < 3; ++axis) unit[axis] = 0.0f;
  unit[edge.axis()] = edge.high > edge.low ? -1.0f : 1.0f;
}

bool is_border(const SurfaceEdge& edge) {
  return edge.low == padding_value || edge.high == padding_value;
}

// Twice the face's area along its normal.
void face_vector(const SurfaceMesh& mesh, const std::uint32_t* face, double normal[3]) {
  double side[2][3];
  for (std::size_t k = 0; k < 2; ++k) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      side[k][axis] = static_cast<double>(mesh.vertices[3 * std::size_t{face[k + 1]} + axis]) -
                      static_cast<double>(mesh.vertices[3 * std::size_t{face[0]} + axis]);
    }
  }
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3, k = (i + 2) % 3;
    normal[i] = side[0][j] * side[1][k] - side[0][k] * side[1][j];
  }
}

// Replaces the normals of `lost` vertices (ascending) by the area-weighted mean of their faces'.
void use_face_normals(const SurfaceMesh& mesh, const std::vector<std::uint32_t>& lost,
                      std::vector<float>& normals) {
  std::vector<double> sums(3 * lost.size(), 0.0);
  for (std::size_t i = 0; i < mesh.faces.size(); ++i) {
    const auto found = std::lower_bound(lost.begin(), lost.end(), mesh.faces[i]);
    if (found == lost.end() || *found != mesh.faces[i]) continue;
    double normal[3];
    face_vector(mesh, &mesh.faces[i - i % 3], normal);
    double* sum = &sums[3 * static_cast<std::size_t>(found - lost.begin())];
    for (int axis = 0; axis < 3; ++axis) sum[axis] += normal[axis];
  }
  for (std::size_t i = 0; i < lost.size(); ++i) {
    normalize(&sums[3 * i], &normals[3 * std::size_t{lost[i]}]);
  }
}

}  // namespace

std::vector<float> field_normals(const SurfaceGrid& grid, const std::vector<SurfaceEdge>& edges,
                                 const SurfaceMesh& mesh, SurfaceSampler& sampler,
                                 const Progress& progress) {
  std::vector<float> normals(mesh.vertices.size());
  std::vector<char> has_gradient(edges.size(), 1);
  const Decoder& decoder = sampler.field().decoder();
  const auto reach = static_cast<float>(0.5 * grid.cell_size());
  const int threads = sampler.field().thread_count();
  for_vertices(edges.size(), threads, progress, [&](std::size_t first, std::size_t count) {
    const std::vector<float> xyz = star_points(&mesh.vertices[3 * first], count, reach);
    std::vector<float> raw(6 * count);
    decoder.evaluate(xyz.data(), raw.size(), Output::kRawDensity, raw.data(), nullptr);
    for (std::size_t i = 0; i < count; ++i) {
      float* normal = &normals[3 * (first + i)];
      double descent[3];
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const float* pair = &raw[6 * i + 2 * axis];
        descent[axis] = static_cast<double>(pair[1]) - static_cast<double>(pair[0]);
      }
      edge_direction(edges[first + i], normal);
      if (!is_border(edges[first + i])) has_gradient[first + i] = normalize(descent, normal);
    }
  });
  sampler.count(6 * edges.size());
  std::vector<std::uint32_t> lost;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    if (!has_gradient[i]) lost.push_back(static_cast<std::uint32_t>(i));
  }
  if (!lost.empty()) use_face_normals(mesh, lost, normals);
  return normals;
}

std::vector<float> field_colors(const SurfaceMesh& mesh, SurfaceSampler& sampler,
                                const Progress& progress) {
  std::vector<float> colors(mesh.vertices.size());
  std::vector<float> density(mesh.vertex_count());
  sampler.field().query_parallel(mesh.vertices.data(), density.size(), density.data(),
                                 colors.data(), progress);
  sampler.count(density.size());
  // Written so that a NaN becomes 0.
  for (float& value : colors) value = value > 0.0f ? std::min(value, 1.0f) : 0.0f;
  return colors;
}

}  // namespace lrm
