// The triplane field: validated, copied and ready for evaluation from any thread.
//
// Everything here is in the native frame and native units; frame() leads to the SDK frame.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>

#include "decoder.h"
#include "frame.h"
#include "lattice.h"
#include "lrm.h"
#include "occupancy.h"
#include "progress.h"

namespace lrm {

class Field {
 public:
  // Arguments as lrm_field_create; throws Error. `options` is complete (see c_api.cpp).
  Field(const lrm_field_options& options, const float* planes, const float* const* weights,
        const float* const* biases);

  float half_extent() const { return radius_; }
  int thread_count() const { return thread_count_; }
  bool empty_outside() const { return empty_outside_; }
  const Frame& frame() const { return frame_; }
  const Decoder& decoder() const { return decoder_; }

  // On the calling thread only; safe to call from many threads at once. xyz [n, 3] finite.
  // density [n] after activation; rgb [n, 3]. Efficient from about 64 points a call.
  void density(const float* xyz, std::size_t n, float* density) const;
  void query(const float* xyz, std::size_t n, float* density, float* rgb) const;

  // The same on thread_count() threads.
  void density_parallel(const float* xyz, std::size_t n, float* density,
                        const Progress& progress = {}) const;
  void raw_density_parallel(const float* xyz, std::size_t n, float* raw,
                            const Progress& progress = {}) const;
  void rough_raw_density_parallel(const float* xyz, std::size_t n, float* raw,
                                  const Progress& progress = {}) const;
  void query_parallel(const float* xyz, std::size_t n, float* density, float* rgb,
                      const Progress& progress = {}) const;

  // The grid of lrm_field_density_grid, [n, n, n], z fastest.
  void density_grid(int resolution, float* density, const Progress& progress = {}) const;

  // Rough raw density at the points of the cube [-half, half]^3 with resolution^3 nodes.
  void rough_raw_grid(double half, int resolution, float* raw, const Progress& progress = {}) const;

  // A coarse look at the whole field, made on first use and kept. Reports progress only when it
  // is being made; a cancelled attempt leaves nothing behind.
  const Lattice& lattice(const Progress& progress = {}) const;

  // Where its raw density may be above a limit. The last one is kept: views in a row ask for the
  // same. It refers to the field's lattice.
  std::shared_ptr<const Occupancy> occupancy(float raw_limit, const Progress& progress = {}) const;

 private:
  // What `wanted` asks for at the points of such a cube, in decoded.density.
  void grid(double half, int resolution, const Decoded& wanted, const Progress& progress) const;

  Frame frame_;
  float radius_;
  bool empty_outside_;
  int thread_count_;
  Decoder decoder_;
  mutable std::mutex lattice_mutex_;
  mutable std::unique_ptr<const Lattice> lattice_;
  mutable std::shared_ptr<const Occupancy> occupancy_;
};

}  // namespace lrm

// The opaque handle of lrm.h.
struct lrm_field {
  lrm::Field field;
};
