/* query_on_gpu FOLDER: a scene that Python's scene.save_field(FOLDER) saved, on a GPU with C and
 * liblrm alone: uploads the planes, prints density and colour along the box's x axis and the size
 * of the surface. liblrm must have been built with -DLRM_CUDA=ON for the engine's field.
 *
 *   nvcc -I runtime/include examples/query_on_gpu.c examples/scene_files.c -L DIR -llrm -lm \
 *        -o query_on_gpu
 */
#include <cuda_runtime_api.h>
#include <lrm_cuda.h>
#include <stdio.h>

#include "scene_files.h"

const char* const program_name = "query_on_gpu";

enum { POINTS = 9 };

/* Where the network's planes would be if TensorRT had made them. */
typedef struct {
  float *planes, *points, *density, *rgb; /* device memory */
} device_arrays;

static int cuda_done(cudaError_t error, const char* what) {
  return error == cudaSuccess || fail(what, cudaGetErrorString(error));
}

static int lrm_done(lrm_status status) {
  return status == LRM_OK || fail("liblrm", lrm_last_error());
}

static int upload(const void* host, size_t size, float** device) {
  return cuda_done(cudaMalloc((void**)device, size), "cudaMalloc") &&
         cuda_done(cudaMemcpy(*device, host, size, cudaMemcpyHostToDevice), "cudaMemcpy");
}

static int make_arrays(const saved_scene* scene, const float* points, device_arrays* arrays) {
  const lrm_field_options* o = &scene->field;
  const size_t texels = (size_t)o->plane_height * (size_t)o->plane_width;
  const size_t floats = 3 * (size_t)o->plane_channels * texels;
  return upload(scene->planes, floats * sizeof(float), &arrays->planes) &&
         upload(points, 3 * POINTS * sizeof(float), &arrays->points) &&
         cuda_done(cudaMalloc((void**)&arrays->density, POINTS * sizeof(float)), "cudaMalloc") &&
         cuda_done(cudaMalloc((void**)&arrays->rgb, 3 * POINTS * sizeof(float)), "cudaMalloc");
}

/* The library's work and the copies are ordered on one stream, which is waited for once. */
static int query(lrm_cuda_field* field, const device_arrays* arrays, const float* points,
                 cudaStream_t stream) {
  float density[POINTS], rgb[3 * POINTS];
  const int done =
      lrm_done(lrm_cuda_field_query(field, arrays->points, POINTS, arrays->density, arrays->rgb)) &&
      cuda_done(
          cudaMemcpyAsync(density, arrays->density, sizeof density, cudaMemcpyDeviceToHost, stream),
          "cudaMemcpyAsync") &&
      cuda_done(cudaMemcpyAsync(rgb, arrays->rgb, sizeof rgb, cudaMemcpyDeviceToHost, stream),
                "cudaMemcpyAsync") &&
      cuda_done(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  for (int i = 0; done && i < POINTS; ++i) {
    const float *p = points + 3 * i, *c = rgb + 3 * i;
    printf("(%g, %g, %g): density %g, rgb %.3f %.3f %.3f\n", (double)p[0], (double)p[1],
           (double)p[2], (double)density[i], (double)c[0], (double)c[1], (double)c[2]);
  }
  return done;
}

static int extract(lrm_cuda_field* field, const lrm_mesh_options* options) {
  lrm_cuda_mesh* mesh = NULL;
  size_t vertices = 0, faces = 0;
  const int done = lrm_done(lrm_cuda_field_mesh(field, options, &mesh)) &&
                   lrm_done(lrm_cuda_mesh_counts(mesh, &vertices, &faces));
  if (done) printf("surface: %zu vertices, %zu faces\n", vertices, faces);
  lrm_cuda_mesh_destroy(mesh);
  return done;
}

static int run_scene(const saved_scene* scene, cudaStream_t stream, device_arrays* arrays) {
  const float* frame = scene->field.native_to_sdk;
  float points[3 * POINTS];
  for (int i = 0; i < POINTS; ++i) {
    const float x = scene->field.radius * (float)(2 * i - (POINTS - 1)) / (POINTS - 1);
    for (int axis = 0; axis < 3; ++axis) {
      points[3 * i + axis] = frame[4 * axis] * x + frame[4 * axis + 3];
    }
  }
  lrm_cuda_field* field = NULL;
  const int done = make_arrays(scene, points, arrays) &&
                   lrm_done(lrm_cuda_field_create(&scene->field, arrays->planes, scene->weights,
                                                  scene->biases, stream, &field)) &&
                   query(field, arrays, points, stream) && extract(field, &scene->mesh);
  lrm_cuda_field_destroy(field);
  return done;
}

static int run(const char* folder) {
  saved_scene scene;
  device_arrays arrays = {NULL, NULL, NULL, NULL};
  cudaStream_t stream = NULL;
  int done = read_scene(folder, &scene) && cuda_done(cudaStreamCreate(&stream), "cudaStreamCreate");
  if (done) {
    done = run_scene(&scene, stream, &arrays);
    cudaFree(arrays.planes);
    cudaFree(arrays.points);
    cudaFree(arrays.density);
    cudaFree(arrays.rgb);
    cudaStreamDestroy(stream);
  }
  free_scene(&scene);
  return done;
}

int main(int argc, char** argv) {
  if (argc == 2) return run(argv[1]) ? 0 : 1;
  fputs("usage: query_on_gpu FOLDER\n", stderr);
  return 2;
}
