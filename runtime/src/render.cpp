// Passes:
//   1. the field's lattice, if not made yet, and from it how far empty space reaches
//   2. per tile of pixels, until no ray is active: every active ray gives its next few samples that
//      may count; those that probably do not are looked at roughly first, where the decoder has a
//      cheaper way to; the decoder takes the others together in full blocks; rays composite them,
//      front to back, and retire when they leave the box or are opaque
//
// Sample positions are those of the exhaustive march: skipping leaves samples out, it moves none.
// An exhaustive render is the same code with nothing left out.
//
// Sources: Levoy 1990, "Efficient Ray Tracing of Volume Data" (occupancy, early termination);
// Laine et al. 2013, "Megakernels Considered Harmful" (wavefronts of rays).
// Cost: the decoder at occupied samples, plus a look at the lattice for a few of the others.
#include "render.h"

#include <cmath>
#include <memory>

#include "parallel.h"
#include "render_tile.h"

namespace lrm {
namespace {

// The lattice pays if it has fewer points than the picture has samples.
bool lattice_pays(const Picture& picture, int sample_count, const Field& field) {
  const double nodes = std::pow(lattice_cells(field) + 1, 3);
  return static_cast<double>(picture.width) * picture.height * sample_count > nodes;
}

std::shared_ptr<const Occupancy> find_occupancy(const Field& field,
                                                const RaySampling<double>& samples,
                                                const Progress& progress) {
  const auto limit = static_cast<float>(skipped_opacity / samples.longest());
  return field.occupancy(field.decoder().raw_for_density(limit), progress);
}

}  // namespace

void render(const Field& field, const lrm_camera& camera, const lrm_render_options& options,
            float* rgb, float* alpha, float* depth) {
  const Progress progress(options.progress, options.user_data);
  const Picture picture{camera.width,       camera.height,      rgb, alpha, depth,
                        options.background, field.frame().scale};
  const CameraRays rays(camera, field.frame());
  const RaySampling<double> samples =
      ray_sampling(options, static_cast<double>(field.half_extent()), field.frame().scale);
  std::shared_ptr<const Occupancy> occupancy;
  if (options.exhaustive == 0 && lattice_pays(picture, samples.count, field)) {
    // About the share that the lattice has in a first render of ordinary size.
    occupancy = find_occupancy(field, samples, progress.part(0.0f, 0.5f));
  }
  const Scene scene{field, rays, samples, occupancy.get()};
  const int columns = (picture.width + tile_side - 1) / tile_side;
  const int rows = (picture.height + tile_side - 1) / tile_side;
  parallel_for(
      field.thread_count(), static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows),
      [&](std::size_t task, int) {
        const int tile = static_cast<int>(task);
        render_tile(scene, picture, tile / columns * tile_side, tile % columns * tile_side);
      },
      progress.part(occupancy ? 0.5f : 0.0f, 1.0f));
}

}  // namespace lrm
