#include "surface_tracking.h"

#include <algorithm>

#include "marching_cubes_table.h"
#include "surface_pages.h"

namespace lrm {
namespace {

struct Cell {
  int at[3];

  void corner(int c, int xyz[3]) const {
    for (int axis = 0; axis < 3; ++axis) xyz[axis] = at[axis] + (c >> axis & 1);
  }
};

class Tracker {
 public:
  Tracker(const SurfaceGrid& grid, float threshold, SurfaceSampler& sampler, MemoryBudget& budget)
      : grid_(grid),
        threshold_(threshold),
        sampler_(sampler),
        budget_(budget),
        pages_(grid, budget),
        charge_(budget) {}

  void visit(const int at[3]) {
    if (pages_.mark_cell(at)) next_.push_back({{at[0], at[1], at[2]}});
  }

  // Moves on by one wave. Returns the number of its cells.
  std::size_t advance() {
    wave_.swap(next_);
    next_.clear();
    evaluate_corners();
    for (const Cell& cell : wave_) follow(cell);
    charge_.set(found_.bytes() + (wave_.capacity() + next_.capacity()) * sizeof(Cell));
    return wave_.size();
  }

  std::size_t ahead() const { return next_.size(); }

  SurfaceCrossings take() {
    sort_crossings(found_);
    return std::move(found_);
  }

 private:
  void evaluate_corners() {
    std::vector<float*> slots;
    std::vector<float> xyz;
    const MemoryCharge held(budget_, 8 * wave_.size() * (sizeof(float*) + 4 * sizeof(float)));
    for (const Cell& cell : wave_) {
      for (int c = 0; c < 8; ++c) request_corner(cell, c, slots, xyz);
    }
    std::vector<float> density(slots.size());
    sampler_.grid_density(xyz.data(), density.size(), density.data());
    for (std::size_t i = 0; i < slots.size(); ++i) *slots[i] = density[i];
  }

  void request_corner(const Cell& cell, int c, std::vector<float*>& slots,
                      std::vector<float>& xyz) {
    int at[3];
    cell.corner(c, at);
    if (grid_.is_padding(at[0], at[1], at[2])) return;
    float& value = pages_.value(at[0], at[1], at[2]);
    if (!std::isnan(value)) return;
    value = 0.0f;  // requested once
    slots.push_back(&value);
    for (int i : at) xyz.push_back(grid_.coordinate(i));
  }

  void follow(const Cell& cell) {
    float corners[8];
    int mask = 0;
    for (int c = 0; c < 8; ++c) {
      int at[3];
      cell.corner(c, at);
      const bool padding = grid_.is_padding(at[0], at[1], at[2]);
      corners[c] = padding ? padding_value : pages_.value(at[0], at[1], at[2]);
      mask |= (corners[c] > threshold_) << c;
    }
    add_cell(grid_, cell.at, mask, corners, found_);
    for (int axis = 0; axis < 3; ++axis) {
      for (int side = 0; side < 2; ++side) cross_face(cell, mask, axis, side);
    }
  }

  void cross_face(const Cell& cell, int mask, int axis, int side) {
    const int face = face_corners(axis, side);
    if ((mask & face) == 0 || (mask & face) == face) return;
    int at[3] = {cell.at[0], cell.at[1], cell.at[2]};
    at[axis] += side == 1 ? 1 : -1;
    if (at[axis] >= 0 && at[axis] < grid_.cells()) visit(at);
  }

  const SurfaceGrid& grid_;
  float threshold_;
  SurfaceSampler& sampler_;
  MemoryBudget& budget_;
  SurfacePages pages_;
  MemoryCharge charge_;
  std::vector<Cell> wave_, next_;
  SurfaceCrossings found_;
};

// Nobody knows how far a surface goes on; this approaches 1 as waves dwindle, and never falls.
class WaveProgress {
 public:
  float after(std::size_t wave, std::size_t ahead) {
    done_ += wave;
    const auto done = static_cast<float>(done_);
    fraction_ = std::max(fraction_, done / (done + 2.0f * static_cast<float>(ahead)));
    return fraction_;
  }

 private:
  std::size_t done_ = 0;
  float fraction_ = 0.0f;
};

}  // namespace

SurfaceCrossings track_surface(const SurfaceGrid& grid, float threshold,
                               const std::vector<SurfaceSeed>& seeds, SurfaceSampler& sampler,
                               MemoryBudget& budget, const Progress& progress) {
  Tracker tracker(grid, threshold, sampler, budget);
  for (const SurfaceSeed& seed : seeds) tracker.visit(seed.cell);
  WaveProgress fraction;
  while (tracker.ahead() > 0) {
    const std::size_t wave = tracker.advance();
    progress.report(fraction.after(wave, tracker.ahead()));
  }
  return tracker.take();
}

}  // namespace lrm
