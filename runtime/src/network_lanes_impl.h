// Rows of any length in vectors, and sums and maxima of a vector's lanes.
#pragma once

#include "simd.h"

namespace lrm {
namespace {

// The `count` < lanes floats at p; the other lanes are 0.
inline Vector load_some(const float* p, int count) {
  Vector x = splat(0.0f);
  for (int i = 0; i < count; ++i) x[i] = p[i];
  return x;
}

inline void store_some(float* p, Vector x, int count) {
  for (int i = 0; i < count; ++i) p[i] = x[i];
}

// Lane i and lane i ^ kStep trade places.
#define LRM_OTHER(l) ((l) ^ kStep)
template <int kStep>
inline Vector traded(Vector x) {
  return __builtin_shufflevector(x, x, LRM_EACH(LRM_OTHER));
}

// join of all lanes; join is associative.
template <class Join>
inline float joined(Vector x, const Join& join) {
#if LRM_LANES >= 16
  x = join(x, traded<8>(x));
#endif
#if LRM_LANES >= 8
  x = join(x, traded<4>(x));
#endif
  x = join(x, traded<2>(x));
  return join(x, traded<1>(x))[0];
}
inline float sum_of(Vector x) {
  return joined(x, [](Vector a, Vector b) { return a + b; });
}
inline float largest_of(Vector x) { return joined(x, maximum); }

// each(column, count of lanes that are used) over a row.
template <class Each>
void for_columns(int width, const Each& each) {
  for (int c = 0; c < width; c += lanes) each(c, width - c < lanes ? width - c : lanes);
}

inline Vector load_lanes(const float* p, int used) {
  return used == lanes ? load_unaligned(p) : load_some(p, used);
}

inline void store_lanes(float* p, Vector x, int used) {
  used == lanes ? store_unaligned(p, x) : store_some(p, x, used);
}

}  // namespace
}  // namespace lrm
