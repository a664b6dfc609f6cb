#include "surface_attributes.h"

#include <algorithm>
#include <cmath>

#include "parallel.h"
#include "surface.h"

namespace lrm {
namespace {

constexpr std::size_t vertices_per_task = 2 * batch_points;

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

// A gradient in place to a normal. False if it vanishes: then it is the edge's direction.
bool to_normal(const SurfaceEdge& edge, float* vector) {
  const double descent[3] = {-static_cast<double>(vector[0]), -static_cast<double>(vector[1]),
                             -static_cast<double>(vector[2])};
  edge_direction(edge, vector);
  return is_border(edge) || normalize(descent, vector);
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

void replace_lost(const std::vector<char>& has_gradient, SurfaceMesh* mesh) {
  std::vector<std::uint32_t> lost;
  for (std::size_t i = 0; i < has_gradient.size(); ++i) {
    if (!has_gradient[i]) lost.push_back(static_cast<std::uint32_t>(i));
  }
  if (!lost.empty()) use_face_normals(*mesh, lost, mesh->normals);
}

}  // namespace

void set_attributes(const std::vector<SurfaceEdge>& edges, bool normals, bool colors,
                    SurfaceMesh* mesh, SurfaceSampler& sampler, const Progress& progress) {
  if (!normals && !colors) return;
  const std::size_t n = edges.size();
  if (normals) mesh->normals.resize(3 * n);
  if (colors) mesh->colors.resize(3 * n);
  std::vector<char> has_gradient(n, 1);
  parallel_for(
      sampler.field().thread_count(), (n + vertices_per_task - 1) / vertices_per_task,
      [&](std::size_t task, int) {
        const std::size_t first = task * vertices_per_task;
        const std::size_t count = std::min(vertices_per_task, n - first);
        Decoded decoded;
        if (normals) decoded.gradient = &mesh->normals[3 * first];
        if (colors) decoded.rgb = &mesh->colors[3 * first];
        sampler.field().decoder().evaluate(&mesh->vertices[3 * first], count, decoded);
        for (std::size_t i = first; normals && i < first + count; ++i) {
          has_gradient[i] = to_normal(edges[i], &mesh->normals[3 * i]);
        }
      },
      progress);
  sampler.count(n);
  // Written so that a NaN becomes 0.
  for (float& value : mesh->colors) value = value > 0.0f ? std::min(value, 1.0f) : 0.0f;
  if (normals) replace_lost(has_gradient, mesh);
}

}  // namespace lrm
