// Normals and colours of the vertices, from the field.
#pragma once

#include <cstdint>
#include <vector>

#include "surface_crossings.h"
#include "surface_sampler.h"

namespace lrm {

struct SurfaceMesh;

// Sets mesh->normals and mesh->colors, either of which may be left out.
//
// Normals are unit vectors against the gradient of raw density. Vertices on an edge to the padding
// get that edge's direction: there the surface is the box face. Where the gradient vanishes, the
// mean of the adjacent faces. Colours are clamped to [0, 1].
void set_attributes(const std::vector<SurfaceEdge>& edges, bool normals, bool colors,
                    SurfaceMesh* mesh, SurfaceSampler& sampler, const Progress& progress);

}  // namespace lrm
