// Where on its grid edge each vertex lies.
#pragma once

#include <vector>

#include "surface_crossings.h"
#include "surface_sampler.h"

namespace lrm {

// Vertices keep this distance from the ends of their edge, in edge lengths, so that no two of them
// coincide and no face has zero area, even where a density equals the threshold or is infinite. At
// 2048 points per axis it still is several units in the last place of a coordinate.
constexpr double end_gap = 1.0 / 4096.0;

// A vertex on an edge to the padding lies this far outside the box face, in edge lengths.
constexpr double border_gap = 1.0 / 256.0;

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
