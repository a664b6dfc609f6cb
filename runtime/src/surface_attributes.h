// Normals and colours of the vertices, from the field.
#pragma once

#include <cstdint>
#include <vector>

#include "surface_crossings.h"
#include "surface_sampler.h"

namespace lrm {

struct SurfaceMesh;

// Unit normals against the gradient of raw density, by central differences over half a cell to
// either side. Vertices on an edge to the padding get that edge's direction: there the surface is
// the box face. Where the gradient vanishes, the mean of the adjacent faces.
std::vector<float> field_normals(const SurfaceGrid& grid, const std::vector<SurfaceEdge>& edges,
                                 const SurfaceMesh& mesh, SurfaceSampler& sampler,
                                 const Progress& progress);

// Colours at the vertices, clamped to [0, 1].
std::vector<float> field_colors(const SurfaceMesh& mesh, SurfaceSampler& sampler,
                                const Progress& progress);

}  // namespace lrm
