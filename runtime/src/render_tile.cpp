#include "render_tile.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "ray_walk.h"

namespace lrm {
namespace {

// Samples decoded together at most. A ray gives few at a time, since those behind the one that
// makes it opaque are wasted, but more in a thinned-out tile, to fill the decoder's blocks.
constexpr int tile_rays = tile_side * tile_side;
constexpr int batch_samples = 12 * batch_points;
constexpr int least_samples_per_turn = 2, most_samples_per_turn = 8;

// Samples that probably do not count, which a ray may look at in a turn beside those.
constexpr int doubtful_samples_per_turn = 8;

// A ray that kept this share of its light in a turn is in thin fog and gives twice as many next.
constexpr double thin_turn = 0.9;

// Of both kinds together.
constexpr int most_picked_per_turn = most_samples_per_turn + doubtful_samples_per_turn;

struct ActiveRay {
  Ray<double> ray;
  Composite<double> light;
  int pixel;
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
    rays_.reserve(tile_rays);
  }

  void render(int first_row, int first_column) {
    start_rays(first_row, first_column);
    while (!rays_.empty()) {
      collect();
      drop_doubtful();
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
    active.ray.axis_cosine = scene_.camera.direction(row, column, active.ray.direction);
    if (!scene_.samples.place(scene_.camera.origin(), &active.ray)) {
      write_pixel(picture_, active);
      return;
    }
    RayWalk& walk = walks_[rays_.size()];
    walk = RayWalk{};
    walk.turn = least_samples_per_turn;
    if (scene_.occupancy != nullptr) {
      walk.start(scene_.camera.origin(), active.ray, scene_.samples, scene_.occupancy->lattice());
    }
    rays_.push_back(active);
  }

  // Fills the batch with the next samples of every active ray. The rays step in turn, not one after
  // the other, so that the processor may look for several at once.
  void collect() {
    const int rays = static_cast<int>(rays_.size());
    const int least = std::min(batch_points / rays, most_samples_per_turn);
    const int most = std::min(batch_samples / rays, most_picked_per_turn);
    for (int ray = 0; ray < rays; ++ray) {
      RayWalk& walk = walks_[ray];
      walk.picked = walk.likely = 0;
      walk.turn = std::min(std::max(walk.turn, least), most);
      walking_[ray] = ray;
    }
    for (int walking = rays; walking > 0;) {
      int left = 0;
      for (int i = 0; i < walking; ++i) {
        const int ray = walking_[i];
        walking_[left] = ray;
        left += step(ray, most) ? 1 : 0;
      }
      walking = left;
    }
    take_samples();
  }

  // One look, one sample or some empty ones ahead. Whether the ray goes on in this turn.
  bool step(int ray, int most) {
    RayWalk& walk = walks_[ray];
    const int count = scene_.samples.count;
    bool doubtful = false;
    if (scene_.occupancy != nullptr && !scene_.samples.always_counts(walk.next)) {
      // The last sample may count wherever it lies: it is not jumped over.
      const int last = scene_.samples.always_counts(count - 1) ? count - 1 : count;
      const int empty = walk.empty_samples(*scene_.occupancy, last - walk.next, &doubtful);
      walk.next += empty;
      if (empty > 0) return walk.next < count;
    }
    picks_[ray * most_picked_per_turn + walk.picked++] = {walk.next++, doubtful};
    walk.likely += doubtful ? 0 : 1;
    return walk.next < count && walk.picked < most && walk.likely < walk.turn &&
           walk.picked - walk.likely < doubtful_samples_per_turn;
  }

  void take_samples() {
    count_ = 0;
    for (std::size_t ray = 0; ray < rays_.size(); ++ray) {
      const Pick* pick = picks_ + ray * most_picked_per_turn;
      const int first = count_;
      for (int i = 0; i < walks_[ray].picked; ++i, ++pick) {
        if (take_sample(rays_[ray].ray, pick->sample)) doubtful_[count_ - 1] = pick->doubtful;
      }
      walks_[ray].picked = count_ - first;
    }
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

  // Leaves out the doubtful samples that a rough look finds below the limit, as long as such looks
  // spare the tile more than they cost.
  void drop_doubtful() {
    if (!scene_.field.decoder().rough_is_cheaper() || 2 * kept_ > looked_at_ + 500) return;
    std::size_t looks = 0;
    for (int i = 0; i < count_; ++i) {
      if (doubtful_[i]) std::copy_n(xyz_ + 3 * i, 3, rough_xyz_ + 3 * looks++);
    }
    if (looks == 0) return;
    scene_.field.decoder().rough_raw_density(rough_xyz_, looks, rough_raw_);
    const float limit = scene_.occupancy->raw_limit() - scene_.occupancy->lattice().slack;
    const float* raw = rough_raw_;
    int from = 0, to = 0;
    for (std::size_t ray = 0; ray < rays_.size(); ++ray) {
      const int picked = walks_[ray].picked;
      for (int i = 0; i < picked; ++i, ++from) {
        if (doubtful_[from] && *raw++ < limit) {
          --walks_[ray].picked;
        } else {
          move_sample(from, to++);
        }
      }
    }
    looked_at_ += static_cast<int>(looks);
    kept_ += static_cast<int>(looks) - (count_ - to);
    count_ = to;
  }

  void move_sample(int from, int to) {
    if (from == to) return;
    std::copy_n(xyz_ + 3 * from, 3, xyz_ + 3 * to);
    distance_[to] = distance_[from];
    length_[to] = length_[from];
  }

  void composite() {
    int sample = 0;
    for (std::size_t ray = 0; ray < rays_.size(); ++ray) {
      RayWalk& walk = walks_[ray];
      Composite<double>& light = rays_[ray].light;
      const double before = light.transmittance;
      for (int i = 0; i < walk.picked; ++i, ++sample) {
        const double alpha =
            1.0 - std::exp(-static_cast<double>(density_[sample]) * length_[sample]);
        light.add(alpha, distance_[sample], rgb_ + 3 * sample, scene_.samples.epsilon());
      }
      if (walk.picked == 0) continue;
      const bool thin = light.transmittance > thin_turn * before;
      walk.turn = thin ? std::min(2 * walk.turn, most_samples_per_turn) : least_samples_per_turn;
    }
  }

  bool done(std::size_t ray) const {
    const bool opaque =
        scene_.occupancy != nullptr && rays_[ray].light.transmittance < opaque_transmittance;
    return opaque || walks_[ray].next == scene_.samples.count;
  }

  void retire() {
    std::size_t kept = 0;
    for (std::size_t ray = 0; ray < rays_.size(); ++ray) {
      if (done(ray)) {
        write_pixel(picture_, rays_[ray]);
        continue;
      }
      if (kept != ray) {
        rays_[kept] = rays_[ray];
        walks_[kept] = walks_[ray];
      }
      ++kept;
    }
    rays_.resize(kept);
  }

  struct Pick {
    int sample;
    bool doubtful;
  };

  const Scene& scene_;
  const Picture& picture_;
  std::vector<ActiveRay> rays_;
  RayWalk walks_[tile_rays];
  int walking_[tile_rays];  // rays that are not through with their turn
  Pick picks_[tile_rays * most_picked_per_turn];
  int count_ = 0;
  int looked_at_ = 0, kept_ = 0;  // doubtful samples so far
  float xyz_[3 * batch_samples];
  float density_[batch_samples];
  float rgb_[3 * batch_samples];
  double distance_[batch_samples];
  double length_[batch_samples];
  bool doubtful_[batch_samples];
  float rough_xyz_[3 * batch_samples];
  float rough_raw_[batch_samples];
};

static_assert(tile_rays <= batch_samples, "every ray of a tile gives a sample");

}  // namespace

void render_tile(const Scene& scene, const Picture& picture, int first_row, int first_column) {
  // Not on the stack, which is small on some systems' threads; not zeroed.
  const std::unique_ptr<Tile> tile(new Tile(scene, picture));
  tile->render(first_row, first_column);
}

}  // namespace lrm
