// Surface extraction: marching cubes (Lorensen and Cline 1987, "Marching cubes: a high resolution
// 3D surface construction algorithm") on a field, evaluated only where the surface is, or on a
// grid.
//
//   crossings   cells and edges that the surface passes     surface_seeds, _tracking or _dense
//   vertices    one per crossed edge, then refined          surface_vertices
//   faces       by the table of 256 cases                   surface_faces, marching_cubes_table
//   attributes  normals and colours                         surface_attributes
//
// The mesh is the same, to the bit and in order, for every number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lrm.h"

namespace lrm {

class Field;

struct SurfaceMesh {
  std::vector<float> vertices;  // [n, 3]
  std::vector<float> normals;   // [n, 3] or empty
  std::vector<float> colors;    // [n, 3] or empty
  std::vector<std::uint32_t> faces;
  std::uint64_t evaluations = 0;  // points decoded to make it

  std::size_t vertex_count() const { return vertices.size() / 3; }
  std::size_t face_count() const { return faces.size() / 3; }
};

// In the SDK frame. Options are complete and checked.
SurfaceMesh extract_surface(const Field& field, const lrm_mesh_options& options);

// In the grid's own frame. Arguments as lrm_grid_mesh, checked.
SurfaceMesh extract_grid_surface(const float* density, int points, float half, float threshold,
                                 bool close_border);

}  // namespace lrm
