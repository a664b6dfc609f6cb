#include "field.h"

#include <algorithm>
#include <vector>

#include "grid_points.h"
#include "parallel.h"

namespace lrm {
namespace {

// Points a task decodes: about a millisecond of work, so that threads share evenly and a
// cancellation is prompt, and far more than the cost of taking a task.
constexpr std::size_t points_per_task = 4 * batch_points;

template <class Evaluate>  // evaluate(first, count)
void for_point_ranges(int threads, std::size_t n, const Progress& progress,
                      const Evaluate& evaluate) {
  const std::size_t tasks = (n + points_per_task - 1) / points_per_task;
  parallel_for(
      threads, tasks,
      [&](std::size_t task, int) {
        const std::size_t first = task * points_per_task;
        evaluate(first, std::min(points_per_task, n - first));
      },
      progress);
}

}  // namespace

Field::Field(const lrm_field_options& options, const float* planes, const float* const* weights,
             const float* const* biases)
    : frame_(Frame::from_matrix(options.native_to_sdk, "options.native_to_sdk")),
      radius_(options.radius),
      empty_outside_(options.outside == LRM_OUTSIDE_EMPTY),
      thread_count_(options.thread_count > 0 ? options.thread_count : available_threads()),
      decoder_(options, planes, weights, biases) {}

void Field::density(const float* xyz, std::size_t n, float* density) const {
  decoder_.density(xyz, n, density);
}

void Field::query(const float* xyz, std::size_t n, float* density, float* rgb) const {
  Decoded decoded;
  decoded.density = density;
  decoded.activate = true;
  decoded.rgb = rgb;
  decoder_.evaluate(xyz, n, decoded);
}

void Field::density_parallel(const float* xyz, std::size_t n, float* density,
                             const Progress& progress) const {
  for_point_ranges(thread_count_, n, progress, [&](std::size_t first, std::size_t count) {
    this->density(xyz + 3 * first, count, density + first);
  });
}

void Field::raw_density_parallel(const float* xyz, std::size_t n, float* raw,
                                 const Progress& progress) const {
  for_point_ranges(thread_count_, n, progress, [&](std::size_t first, std::size_t count) {
    decoder_.raw_density(xyz + 3 * first, count, raw + first);
  });
}

void Field::rough_raw_density_parallel(const float* xyz, std::size_t n, float* raw,
                                       const Progress& progress) const {
  for_point_ranges(thread_count_, n, progress, [&](std::size_t first, std::size_t count) {
    decoder_.rough_raw_density(xyz + 3 * first, count, raw + first);
  });
}

void Field::query_parallel(const float* xyz, std::size_t n, float* density, float* rgb,
                           const Progress& progress) const {
  for_point_ranges(thread_count_, n, progress, [&](std::size_t first, std::size_t count) {
    query(xyz + 3 * first, count, density + first, rgb + 3 * first);
  });
}

void Field::grid(double half, int resolution, const Decoded& wanted,
                 const Progress& progress) const {
  const auto n = static_cast<std::size_t>(resolution);
  const std::size_t lines_per_task = std::max<std::size_t>(points_per_task / n, 1);
  const std::size_t tasks = (n * n + lines_per_task - 1) / lines_per_task;
  parallel_for(
      thread_count_, tasks,
      [&](std::size_t task, int) {
        const std::size_t first = task * lines_per_task;
        const std::size_t lines = std::min(lines_per_task, n * n - first);
        std::vector<float> xyz(3 * n * lines);
        for (std::size_t i = 0; i < lines; ++i) {
          grid_line(half, resolution, first + i, xyz.data() + 3 * n * i);
        }
        Decoded decoded = wanted;
        decoded.density += n * first;
        decoder_.evaluate(xyz.data(), n * lines, decoded);
      },
      progress);
}

void Field::density_grid(int resolution, float* density, const Progress& progress) const {
  Decoded decoded;
  decoded.density = density;
  decoded.activate = true;
  grid(static_cast<double>(radius_), resolution, decoded, progress);
}

void Field::rough_raw_grid(double half, int resolution, float* raw,
                           const Progress& progress) const {
  Decoded decoded;
  decoded.density = raw;
  decoded.rough = true;
  grid(half, resolution, decoded, progress);
}

const Lattice& Field::lattice(const Progress& progress) const {
  {
    const std::lock_guard<std::mutex> lock(lattice_mutex_);
    if (lattice_) return *lattice_;
  }
  // Made outside the lock, so that the progress callback may use the field. Two first calls at
  // once each make the same lattice; one is kept.
  auto made = std::make_unique<const Lattice>(make_lattice(*this, progress));
  const std::lock_guard<std::mutex> lock(lattice_mutex_);
  if (!lattice_) lattice_ = std::move(made);
  return *lattice_;
}

std::shared_ptr<const Occupancy> Field::occupancy(float raw_limit, const Progress& progress) const {
  const Lattice& whole = lattice(progress);
  {
    const std::lock_guard<std::mutex> lock(lattice_mutex_);
    if (occupancy_ && occupancy_->raw_limit() == raw_limit) return occupancy_;
  }
  const auto made = std::make_shared<const Occupancy>(whole, raw_limit, thread_count_);
  const std::lock_guard<std::mutex> lock(lattice_mutex_);
  occupancy_ = made;
  return made;
}

}  // namespace lrm
