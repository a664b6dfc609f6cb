// Where the surface's vertices lie on their grid edges: for the C++ and the CUDA stage alike.
// See surface_vertices.h for the method.
#pragma once

#include "field_semantics.h"

namespace lrm {

// `points` per axis, with a layer of padding on every side if `pad` is 1 (it closes surfaces at the
// box face). Indices count the padding: 0 .. side() - 1.
struct GridShape {
  int points;
  int pad;
  double half;  // half-extent of the points, native units

  LRM_HOST_DEVICE int side() const { return points + 2 * pad; }
  LRM_HOST_DEVICE int cells() const { return side() - 1; }

  LRM_HOST_DEVICE bool is_padding(int i) const { return i < pad || i >= pad + points; }
  LRM_HOST_DEVICE bool is_padding(int x, int y, int z) const {
    return is_padding(x) || is_padding(y) || is_padding(z);
  }

  // Exactly the coordinate that lrm_field_density_grid uses.
  LRM_HOST_DEVICE float coordinate(int i) const { return grid_coordinate(half, i - pad, points); }

  // At a fraction of the way from index i to i + 1.
  LRM_HOST_DEVICE double coordinate(int i, double fraction) const {
    return -half + 2.0 * half * (i - pad + fraction) / (points - 1);
  }
};

// Vertices keep this distance from the ends of their edge, in edge lengths, so that no two of them
// coincide and no face has zero area, even where a density equals the threshold or is infinite. At
// 2048 points per axis it still is several units in the last place of a coordinate.
constexpr double end_gap = 1.0 / 4096.0;

// A vertex on an edge to the padding lies this far outside the box face, in edge lengths.
constexpr double border_gap = 1.0 / 256.0;

// A vertex that an evaluation moves by less than this share of its edge is left there: the secant's
// error falls faster than linearly, so that what remains is a small part of the move.
constexpr double settled_move = 1.0 / 256;

struct EdgePlace {
  int low[3];
  int axis;
  bool low_padding, high_padding;
};

LRM_HOST_DEVICE EdgePlace edge_place(const GridShape& grid, const int low[3], int axis) {
  return {
      {low[0], low[1], low[2]}, axis, grid.is_padding(low[axis]), grid.is_padding(low[axis] + 1)};
}

LRM_HOST_DEVICE void edge_point(const GridShape& grid, const EdgePlace& place, double fraction,
                                float* xyz) {
  for (int axis = 0; axis < 3; ++axis) {
    xyz[axis] = axis == place.axis ? static_cast<float>(grid.coordinate(place.low[axis], fraction))
                                   : grid.coordinate(place.low[axis]);
  }
}

LRM_HOST_DEVICE double limited(double value, double low, double high) {
  return value < low ? low : (value > high ? high : value);
}

LRM_HOST_DEVICE double keep_off_ends(double fraction) {
  return limited(fraction != fraction ? 0.5 : fraction, end_gap, 1.0 - end_gap);
}

// Large finite numbers in place of infinities, whose differences would be NaN.
LRM_HOST_DEVICE double bounded(double value) { return limited(value, -1e30, 1e30); }

LRM_HOST_DEVICE double linear_fraction(float low_density, float high_density, float threshold) {
  const double low = bounded(low_density), high = bounded(high_density);
  return keep_off_ends((static_cast<double>(threshold) - low) / (high - low));
}

// Where an edge to the padding is cut, whatever the densities.
LRM_HOST_DEVICE bool border_fraction(const EdgePlace& place, double* fraction) {
  if (place.low_padding) *fraction = 1.0 - border_gap;
  if (place.high_padding) *fraction = border_gap;
  return place.low_padding || place.high_padding;
}

// The raw value of an end's density relative to the threshold's, with the sign that classified it.
LRM_HOST_DEVICE double relative_raw(double difference, bool inside) {
  const double value = bounded(difference), least = 1e-30;
  if (inside) return value > least ? value : least;
  return value < -least ? value : -least;
}

// Raw densities relative to the threshold at two fractions of the edge, of opposite sign.
class Bracket {
 public:
  LRM_HOST_DEVICE Bracket(double value_low, double value_high) : value_{value_low, value_high} {}

  LRM_HOST_DEVICE double estimate() const {
    const double share = value_[0] / (value_[0] - value_[1]);
    return at_[0] + (at_[1] - at_[0]) * share;
  }

  LRM_HOST_DEVICE void narrow(double at, double value) {
    const int same = (value > 0) == (value_[0] > 0) ? 0 : 1;
    if (same == last_) weaken(1 - same, value_[same], value);
    at_[same] = at;
    value_[same] = value;
    last_ = same;
    evaluated_ = at;
  }

  // How far the estimate lies from the last point that was evaluated.
  LRM_HOST_DEVICE double last_move() const {
    const double move = estimate() - evaluated_;
    return move < 0.0 ? -move : move;
  }

 private:
  // The end that stays a second time is given less weight, by the parabola through the last three
  // points, or by half where that has no use.
  LRM_HOST_DEVICE void weaken(int end, double before, double now) {
    const double share = 1.0 - now / before;
    value_[end] *= share > 0.0 ? share : 0.5;
  }

  double at_[2] = {0.0, 1.0};
  double value_[2];
  int last_ = -1;
  double evaluated_ = 0.0;
};

}  // namespace lrm
