// Where on its grid edge each vertex lies.
#pragma once

#include <vector>

#include "surface_crossings.h"
#include "surface_sampler.h"

namespace lrm {

// By linear interpolation of the densities. xyz [edges, 3] native.
std::vector<float> interpolate_vertices(const SurfaceGrid& grid, float threshold,
                                        const std::vector<SurfaceEdge>& edges);

// By at most `steps` evaluations of the field per vertex that close in on the threshold: Anderson
// and Bjorck 1973, "A new high order method of regula falsi type for computing a root of an
// equation", on raw density, in which an exponential field is close to linear. Every estimate stays
// inside a bracket, hence on the edge.
std::vector<float> refine_vertices(const SurfaceGrid& grid, float threshold, int steps,
                                   const std::vector<SurfaceEdge>& edges, SurfaceSampler& sampler,
                                   const Progress& progress);

}  // namespace lrm
