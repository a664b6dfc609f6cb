// One field in device memory, as lrm_sdk/cuda/field.py.
#pragma once

#include <algorithm>
#include <vector>

#include "fragments.h"
#include "frame.h"
#include "layout.h"
#include "render_job.h"
#include "stream.h"

namespace lrm {

constexpr int decode_threads = 128;  // of a block that decodes: __launch_bounds__ of the kernels
constexpr int fold_threads = 256;
constexpr std::int64_t resident_blocks = 4;  // of lrm_render on a multiprocessor

// SDK frame -> native frame, as query.cu reads it.
struct ToNative {
  double row[3][4];
};

inline ToNative to_native(const Frame& frame) {
  ToNative result{};
  const double zero[3] = {0.0, 0.0, 0.0};
  double origin[3];
  frame.point_to_native(zero, origin);
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) result.row[i][j] = frame.rotation[j][i] / frame.scale;
    result.row[i][3] = origin[i];
  }
  return result;
}

// Arguments of all functions are checked.
class GpuField {
 public:
  GpuField(const lrm_field_options& options, const float* planes, const float* const* weights,
           const float* const* biases, const Stream& stream)
      : stream_(stream),
        frame_(Frame::from_matrix(options.native_to_sdk, "options.native_to_sdk")),
        planes_(stream, 3 * static_cast<std::size_t>(lrm_kernels::plane_stride)),
        layers_(uploaded(layer_floats(options, weights, biases))),
        to_native_(stream, 1) {
    const DeviceArray<float> columns = uploaded(plane_columns(options, weights[0]));
    const DeviceArray<float> bias =
        uploaded(padded_bias(biases[0], options.layer_widths[1], padded_width));
    stream_.put(to_native(frame_), to_native_.data());
#if LRM_PRECISION != 0
    rounded_planes_ = DeviceArray<unsigned short>(stream, planes_.count());
    rounded_layers_ = uploaded(layer_words(options, weights, biases));
#endif
    stream_.launch(lrm_fold_planes, "lrm_fold_planes", 3 * (lrm_kernels::plane_stride / 4),
                   fold_threads, planes, columns.data(), bias.data(), planes_.data(),
                   rounded_planes_.data());
  }

  const Stream& stream() const { return stream_; }

  // Everything from now on is ordered on another stream of the same device, after what there was.
  void move_to(const Stream& stream) {
    if (stream.handle() == stream_.handle()) return;
    stream.follow(stream_);
    stream_ = stream;
    planes_.free_on(stream);
    layers_.free_on(stream);
    rounded_planes_.free_on(stream);
    rounded_layers_.free_on(stream);
    to_native_.free_on(stream);
    lattice_.free_on(stream);
  }

  const Frame& frame() const { return frame_; }
  // In float32, for vertices; and as Sampler of sampler.cuh takes them.
  const float* planes() const { return planes_.data(); }
  const float* layers() const { return layers_.data(); }
  lrm_kernels::Sampler sampler() const {
    if (LRM_PRECISION == 0) return {planes_.data(), layers_.data()};
    return {rounded_planes_.data(), rounded_layers_.data()};
  }

  void query(const float* points, std::int64_t count, float* density, float* rgb) const {
    stream_.launch(lrm_query, "lrm_query", count, decode_threads, sampler().planes,
                   sampler().layers, &to_native_.data()->row[0][0], points, count, density, rgb);
  }

  void density_grid(int resolution, float* density) const {
    const std::int64_t n = resolution, count = n * n * n;
    stream_.launch(lrm_density_grid, "lrm_density_grid", count, decode_threads, sampler().planes,
                   sampler().layers, static_cast<double>(lrm_kernels::box_radius), resolution, 0,
                   count, 1, density);
  }

  // Any of the pictures may be NULL.
  void render(const lrm_camera& camera, const lrm_render_options& options, float* rgb, float* alpha,
              float* depth) {
    const lrm_kernels::RenderJob job = render_job(camera, options, frame_, lattice_cells);
    const DeviceArray<lrm_kernels::RenderJob> record(stream_, 1);
    stream_.put(job, record.data());
    DeviceArray<float> margin;
    DeviceArray<unsigned> occupied;
    if (job.skip) find_occupancy(job.density_limit, &margin, &occupied);
    const std::size_t pixels =
        static_cast<std::size_t>(camera.width) * static_cast<std::size_t>(camera.height);
    DeviceArray<float> unused[3];
    const auto next_pixel = DeviceArray<int>::zeros(stream_, 1);
    const std::int64_t blocks =
        std::min(tiles(camera), resident_blocks * stream_.multiprocessors());
    stream_.launch(lrm_render, "lrm_render", blocks * decode_threads, decode_threads,
                   sampler().planes, sampler().layers, record.data(),
                   job.skip ? lattice_.data() : nullptr, margin.data(), occupied.data(),
                   next_pixel.data(), given(rgb, 3 * pixels, &unused[0]),
                   given(alpha, pixels, &unused[1]), given(depth, pixels, &unused[2]));
  }

 private:
  // As lattice_cells of src/lattice.cpp.
  static constexpr int lattice_cells =
      std::min(std::max(std::max(lrm_kernels::plane_height, lrm_kernels::plane_width), 64), 128);
  static constexpr int lattice_nodes = lattice_cells + 1;

  static std::int64_t tiles(const lrm_camera& camera) {
    const int columns = (camera.width + lrm_kernels::tile_columns - 1) / lrm_kernels::tile_columns;
    const int rows = (camera.height + lrm_kernels::tile_rows - 1) / lrm_kernels::tile_rows;
    return static_cast<std::int64_t>(columns) * rows;
  }

  // lrm_render writes all three pictures.
  float* given(float* picture, std::size_t count, DeviceArray<float>* unused) const {
    if (picture != nullptr) return picture;
    *unused = DeviceArray<float>(stream_, count);
    return unused->data();
  }

  template <class T>
  DeviceArray<T> uploaded(const std::vector<T>& values) const {
    DeviceArray<T> copy(stream_, values.size());
    if (!values.empty()) stream_.upload(values.data(), values.size() * sizeof(T), copy.data());
    return copy;
  }

  // The lattice is kept; the rest is for one density limit.
  void find_occupancy(float density_limit, DeviceArray<float>* margin,
                      DeviceArray<unsigned>* occupied) {
    constexpr std::int64_t cells = 1LL * lattice_cells * lattice_cells * lattice_cells;
    constexpr std::int64_t nodes = 1LL * lattice_nodes * lattice_nodes * lattice_nodes;
    if (lattice_.empty()) {
      DeviceArray<float> lattice(stream_, nodes);
      stream_.launch(lrm_lattice_nodes, "lrm_lattice_nodes", nodes, decode_threads,
                     sampler().planes, sampler().layers, lattice_nodes, lattice.data());
      lattice_ = std::move(lattice);
    }
    *margin = DeviceArray<float>(stream_, cells);
    *occupied = DeviceArray<unsigned>::zeros(stream_, (cells + 31) / 32);
    stream_.launch(lrm_lattice_cells, "lrm_lattice_cells", cells, fold_threads, lattice_.data(),
                   lattice_cells, density_limit, margin->data(), occupied->data());
  }

  Stream stream_;
  Frame frame_;
  DeviceArray<float> planes_;  // folded
  DeviceArray<float> layers_;
  DeviceArray<unsigned short> rounded_planes_;  // none in float32
  DeviceArray<unsigned> rounded_layers_;
  DeviceArray<ToNative> to_native_;
  DeviceArray<float> lattice_;  // made by the first render that skips
};

}  // namespace lrm
