#include "render_tile.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace lrm {
namespace {

// Samples decoded together at most. A ray gives few at a time, since those behind the one that
// makes it opaque are wasted, but more in a thinned-out tile, to fill the decoder's blocks.
constexpr int batch_samples = 12 * batch_points;
constexpr int least_samples_per_turn = 2, most_samples_per_turn = 8;

// A ray that kept this share of its light in a turn is in thin fog and gives twice as many next.
constexpr double thin_turn = 0.9;

struct ActiveRay {
  Ray<double> ray;
  float place[3], stride[3];  // of sample 0 and from one to the next, in cells of the lattice
  float samples_per_cell;     // at least so many are between the borders of a cell
  Composite<double> light;
  int pixel;
  int next;   // sample
  int given;  // samples in the current batch
  int turn;   // samples wanted in the next
};

void write_pixel(const Picture& picture, const ActiveRay& active) {
  const Composite<double>& light = active.light;
  const auto pixel = static_cast<std::size_t>(active.pixel);
  if (picture.rgb != nullptr) {
    for (std::size_t i = 0; i < 3; ++i) {
      const double behind = (1.0 - light.opacity) * static_cast<double>(picture.background[i]);
      picture.rgb[3 * pixel + i] = static_cast<float>(light.rgb[i] + behind);
    }
  }
  if (picture.alpha != nullptr) {
    picture.alpha[pixel] = static_cast<float>(std::min(light.opacity, 1.0));
  }
  if (picture.depth != nullptr) {
    const double mean = light.opacity > 0.0 ? light.distance / light.opacity : 0.0;
    picture.depth[pixel] =
        static_cast<float>(mean * active.ray.axis_cosine * picture.sdk_units_per_native);
  }
}

class Tile {
 public:
  Tile(const Scene& scene, const Picture& picture) : scene_(scene), picture_(picture) {
    rays_.reserve(tile_side * tile_side);
  }

  void render(int first_row, int first_column) {
    start_rays(first_row, first_column);
    while (!rays_.empty()) {
      collect();
      scene_.field.query(xyz_, static_cast<std::size_t>(count_), density_, rgb_);
      composite();
      retire();
    }
  }

 private:
  void start_rays(int first_row, int first_column) {
    const int last_row = std::min(first_row + tile_side, picture_.height);
    const int last_column = std::min(first_column + tile_side, picture_.width);
    for (int row = first_row; row < last_row; ++row) {
      for (int column = first_column; column < last_column; ++column) start_ray(row, column);
    }
  }

  void start_ray(int row, int column) {
    ActiveRay active{};
    active.pixel = row * picture_.width + column;
    active.turn = least_samples_per_turn;
    active.ray.axis_cosine = scene_.camera.direction(row, column, active.ray.direction);
    if (scene_.samples.place(scene_.camera.origin(), &active.ray)) {
      if (scene_.occupancy != nullptr) place_in_lattice(scene_.occupancy->lattice(), &active);
      rays_.push_back(active);
    } else {
      write_pixel(picture_, active);
    }
  }

  void place_in_lattice(const Lattice& lattice, ActiveRay* active) const {
    const Ray<double>& ray = active->ray;
    const double first = scene_.samples.distance(ray, 0);
    const double step = scene_.samples.distance(ray, 1) - first;
    double longest = 0.0;
    for (int i = 0; i < 3; ++i) {
      const double start = scene_.camera.origin()[i] + ray.direction[i] * first;
      const double stride = ray.direction[i] * step / static_cast<double>(lattice.spacing);
      active->place[i] = static_cast<float>((start + static_cast<double>(lattice.extent)) /
                                            static_cast<double>(lattice.spacing));
      active->stride[i] = static_cast<float>(stride);
      longest = std::max(longest, std::abs(stride));
    }
    active->samples_per_cell = static_cast<float>(1.0 / std::max(longest, 1e-6));
  }

  // Fills the batch with the next samples of every active ray.
  void collect() {
    const int rays = static_cast<int>(rays_.size());
    const int least = std::min(batch_points / rays, most_samples_per_turn);
    const int most = batch_samples / rays;
    count_ = 0;
    for (ActiveRay& active : rays_) {
      active.given = 0;
      const int turn = std::min(std::max(active.turn, least), most);
      while (active.given < turn && active.next < scene_.samples.count) {
        const int skipped = empty_samples(active);
        if (skipped > 0) {
          active.next += skipped;
        } else if (take_sample(active.ray, active.next++)) {
          ++active.given;
        }
      }
    }
  }

  // How many samples from the next one on lie in empty space, for all that one look can tell.
  int empty_samples(const ActiveRay& active) const {
    const int k = active.next, left = scene_.samples.count - k;
    if (scene_.occupancy == nullptr || scene_.samples.always_counts(k)) return 0;
    float position[3];
    for (int i = 0; i < 3; ++i) {
      position[i] = active.place[i] + static_cast<float>(k) * active.stride[i];
    }
    const int reach = scene_.occupancy->empty_reach(position);
    if (reach < 2) return reach;
    const float samples = static_cast<float>(reach - 1) * active.samples_per_cell;
    const int empty = 1 + static_cast<int>(std::min(samples, static_cast<float>(left)));
    // The last sample may count wherever it lies: it is not jumped over.
    return std::min(empty, scene_.samples.always_counts(k + left - 1) ? left - 1 : left);
  }

  bool take_sample(const Ray<double>& ray, int k) {
    const double t = scene_.samples.distance(ray, k);
    float* xyz = xyz_ + 3 * count_;
    for (int i = 0; i < 3; ++i) {
      xyz[i] = static_cast<float>(scene_.camera.origin()[i] + ray.direction[i] * t);
    }
    if (!inside(xyz)) return false;
    distance_[count_] = t;
    length_[count_] = scene_.samples.length(ray, k);
    ++count_;
    return true;
  }

  bool inside(const float xyz[3]) const {
    if (!scene_.field.empty_outside()) return true;
    const float half = scene_.field.half_extent();
    return std::abs(xyz[0]) <= half && std::abs(xyz[1]) <= half && std::abs(xyz[2]) <= half;
  }

  void composite() {
    int sample = 0;
    for (ActiveRay& active : rays_) {
      const double before = active.light.transmittance;
      for (int i = 0; i < active.given; ++i, ++sample) {
        const double alpha = -std::expm1(-static_cast<double>(density_[sample]) * length_[sample]);
        active.light.add(alpha, distance_[sample], rgb_ + 3 * sample, scene_.samples.epsilon());
      }
      const bool thin = active.light.transmittance > thin_turn * before;
      active.turn =
          thin ? std::min(2 * active.turn, most_samples_per_turn) : least_samples_per_turn;
    }
  }

  bool done(const ActiveRay& active) const {
    const bool opaque =
        scene_.occupancy != nullptr && active.light.transmittance < opaque_transmittance;
    return opaque || active.next == scene_.samples.count;
  }

  void retire() {
    std::size_t kept = 0;
    for (ActiveRay& active : rays_) {
      if (done(active)) {
        write_pixel(picture_, active);
      } else {
        if (&rays_[kept] != &active) rays_[kept] = active;
        ++kept;
      }
    }
    rays_.resize(kept);
  }

  const Scene& scene_;
  const Picture& picture_;
  std::vector<ActiveRay> rays_;
  int count_ = 0;
  float xyz_[3 * batch_samples];
  float density_[batch_samples];
  float rgb_[3 * batch_samples];
  double distance_[batch_samples];
  double length_[batch_samples];
};

static_assert(tile_side * tile_side <= batch_samples, "every ray of a tile gives a sample");

}  // namespace

void render_tile(const Scene& scene, const Picture& picture, int first_row, int first_column) {
  // Not on the stack, which is small on some systems' threads; not zeroed.
  const std::unique_ptr<Tile> tile(new Tile(scene, picture));
  tile->render(first_row, first_column);
}

}  // namespace lrm
