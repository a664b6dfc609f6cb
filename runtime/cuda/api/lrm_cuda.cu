// The C functions of lrm_cuda.h, with the kernels for the field of LRM_CUDA_FIELD.
#include <limits>
#include <memory>
#include <mutex>

#include "api_guard.h"
#include "gpu_field.h"
#include "gpu_surface.h"
#include "mesh_options.h"
#include "options.h"

// The opaque handles of lrm_cuda.h.
struct lrm_cuda_field {
  lrm::GpuField field;
  std::mutex mutex;
};

struct lrm_cuda_mesh {
  lrm::Stream stream;
  lrm::GpuMesh mesh;
};

namespace lrm {
namespace {

// Sizes of the option structs as they first shipped with these functions, for complete_options.
constexpr std::size_t field_options_v1 = sizeof(lrm_field_options);
constexpr std::size_t camera_v1 = sizeof(lrm_camera);
constexpr std::size_t render_options_v1 = sizeof(lrm_render_options);
constexpr std::size_t mesh_options_v1 = sizeof(lrm_mesh_options);

// One call on a field: its device is current, other calls wait.
class Turn {
 public:
  explicit Turn(lrm_cuda_field* field)
      : lock_(field->mutex), device_(field->field.stream().device()) {}

 private:
  std::lock_guard<std::mutex> lock_;
  CurrentDevice device_;
};

// A host pointer would end the process's use of the GPU.
void require_device_pointer(const void* pointer, const char* name) {
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, pointer), "cudaPointerGetAttributes");
  if (attributes.type == cudaMemoryTypeUnregistered) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "%s: expected device memory, got a pointer that CUDA does not know", name);
  }
}

void require_device_pointer_or_null(const void* pointer, const char* name) {
  if (pointer != nullptr) require_device_pointer(pointer, name);
}

template <class T>
void copy_out(const Stream& stream, const DeviceArray<T>& values, T* out) {
  if (out != nullptr) stream.copy(values.data(), values.count() * sizeof(T), out);
}

// Frees what the destructor of `handle` frees on its device.
template <class Handle>
void destroy_on(int device, Handle* handle) noexcept {
  guarded([&] {
    std::unique_ptr<Handle> owned(handle);  // also where the device cannot be made current
    const CurrentDevice current(device);
    owned.reset();
  });
}

}  // namespace
}  // namespace lrm

using namespace lrm;  // the C functions below live outside any namespace

lrm_status lrm_cuda_field_create(const lrm_field_options* options, const float* planes,
                                 const float* const* weights, const float* const* biases,
                                 lrm_cuda_stream stream, lrm_cuda_field** field) {
  return guarded([&] {
    require_pointer(field, "field");
    const lrm_field_options complete =
        complete_options(options, default_field_options(), field_options_v1, "options");
    check_field_options(complete);
    require_built_for(complete);
    require_pointer(planes, "planes");
    check_layers(complete, weights, biases);
    Frame::from_matrix(complete.native_to_sdk, "options.native_to_sdk");
    const Stream order(stream);
    require_device_pointer(planes, "planes");
    *field = new lrm_cuda_field{{complete, planes, weights, biases, order}, {}};
  });
}

void lrm_cuda_field_destroy(lrm_cuda_field* field) {
  if (field != nullptr) destroy_on(field->field.stream().device(), field);
}

lrm_status lrm_cuda_field_set_stream(lrm_cuda_field* field, lrm_cuda_stream stream) {
  return guarded([&] {
    require_pointer(field, "field");
    const Turn turn(field);
    field->field.move_to(Stream(stream));
  });
}

lrm_status lrm_cuda_field_query(lrm_cuda_field* field, const float* points, size_t point_count,
                                float* density, float* rgb) {
  return guarded([&] {
    require_pointer(field, "field");
    if (point_count == 0) return;
    require_pointer(points, "points");
    if (point_count > std::numeric_limits<int>::max() * std::size_t{decode_threads}) {
      throw Error(LRM_ERROR_INVALID_ARGUMENT, "point_count: expected less than 2^38, got %zu",
                  point_count);
    }
    const Turn turn(field);
    require_device_pointer(points, "points");
    require_device_pointer_or_null(density, "density");
    require_device_pointer_or_null(rgb, "rgb");
    if (density == nullptr && rgb == nullptr) return;
    field->field.query(points, static_cast<std::int64_t>(point_count), density, rgb);
  });
}

lrm_status lrm_cuda_field_density_grid(lrm_cuda_field* field, int32_t resolution, float* density) {
  return guarded([&] {
    require_pointer(field, "field");
    require_pointer(density, "density");
    require_int(resolution, 2, 2048, "resolution");
    const Turn turn(field);
    require_device_pointer(density, "density");
    field->field.density_grid(resolution, density);
  });
}

lrm_status lrm_cuda_field_render(lrm_cuda_field* field, const lrm_camera* camera,
                                 const lrm_render_options* options, float* rgb, float* alpha,
                                 float* depth) {
  return guarded([&] {
    require_pointer(field, "field");
    const lrm_camera complete_camera =
        complete_options(camera, default_camera(), camera_v1, "camera");
    const lrm_render_options complete =
        complete_options(options, default_render_options(), render_options_v1, "options");
    check_camera(complete_camera);
    check_render_options(complete);
    const Turn turn(field);
    require_device_pointer_or_null(rgb, "rgb");
    require_device_pointer_or_null(alpha, "alpha");
    require_device_pointer_or_null(depth, "depth");
    field->field.render(complete_camera, complete, rgb, alpha, depth);
  });
}

lrm_status lrm_cuda_field_mesh(lrm_cuda_field* field, const lrm_mesh_options* options,
                               lrm_cuda_mesh** mesh) {
  return guarded([&] {
    require_pointer(mesh, "mesh");
    *mesh = nullptr;
    require_pointer(field, "field");
    const lrm_mesh_options complete =
        complete_options(options, default_mesh_options(), mesh_options_v1, "options");
    check_mesh_options(complete);
    const Turn turn(field);
    *mesh = new lrm_cuda_mesh{field->field.stream(), GpuExtraction(field->field, complete).run()};
  });
}

void lrm_cuda_mesh_destroy(lrm_cuda_mesh* mesh) {
  if (mesh != nullptr) destroy_on(mesh->stream.device(), mesh);
}

lrm_status lrm_cuda_mesh_counts(const lrm_cuda_mesh* mesh, size_t* vertex_count,
                                size_t* face_count) {
  return guarded([&] {
    require_pointer(mesh, "mesh");
    if (vertex_count != nullptr) *vertex_count = mesh->mesh.vertex_count();
    if (face_count != nullptr) *face_count = mesh->mesh.face_count();
  });
}

lrm_status lrm_cuda_mesh_copy(const lrm_cuda_mesh* mesh, size_t vertex_count, size_t face_count,
                              float* vertices, float* normals, float* colors, uint32_t* faces) {
  return guarded([&] {
    require_pointer(mesh, "mesh");
    const GpuMesh& source = mesh->mesh;
    const bool wants_vertices = vertices != nullptr || normals != nullptr || colors != nullptr;
    if (wants_vertices) check_room(vertex_count, source.vertex_count(), "vertex_count");
    if (faces != nullptr) check_room(face_count, source.face_count(), "face_count");
    check_computed(!source.normals.empty(), normals, "normals");
    check_computed(!source.colors.empty(), colors, "colors");
    const CurrentDevice current(mesh->stream.device());
    require_device_pointer_or_null(vertices, "vertices");
    require_device_pointer_or_null(normals, "normals");
    require_device_pointer_or_null(colors, "colors");
    require_device_pointer_or_null(faces, "faces");
    copy_out(mesh->stream, source.vertices, vertices);
    copy_out(mesh->stream, source.normals, normals);
    copy_out(mesh->stream, source.colors, colors);
    copy_out(mesh->stream, source.faces, faces);
  });
}
