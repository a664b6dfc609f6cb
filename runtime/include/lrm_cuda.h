/*
 * lrm_cuda.h - lrm.h's field on an NVIDIA GPU, for programs that have the planes in device memory.
 *
 * Part of a liblrm built with -DLRM_CUDA=ON (docs/GPU.md), whose kernels are compiled for one engine's
 * field. No CUDA header is needed to include this one. After TensorRT has written the planes:
 *
 *   lrm_cuda_field *field = NULL;
 *   if (lrm_cuda_field_create(&options, device_planes, weights, biases, stream, &field) != LRM_OK)
 *     return fprintf(stderr, "%s\n", lrm_last_error()), 1;
 *   lrm_cuda_field_query(field, device_points, point_count, device_density, device_rgb);
 *   cudaStreamSynchronize(stream);
 *   lrm_cuda_field_destroy(field);
 *
 * Streams    All work of a field is ordered on one stream, memory included: the one it was created with,
 *            or was given by set_stream. A mesh stays on the one that its field had. Streams must outlive
 *            what is ordered on them. Results are there when the stream has come so far.
 *            Only create and mesh wait for the stream: weights go to the device, counts come back.
 * Threads    Any number of threads may use one field; their calls are put in order. Its GPU need not be
 *            the calling thread's current one, but for create.
 * Ownership  Pointers are to host or device memory as each function says; NULL where it says so. The
 *            library copies what it is given; device memory must stay as it is until the stream has
 *            passed the call. Handles belong to the caller until destroyed; destroy takes NULL.
 * Errors     As lrm.h: a status, and a text in lrm_last_error(). An error that the GPU meets later is
 *            LRM_ERROR_DEVICE of a later call. Numbers in device memory are not looked at: what is
 *            not finite gives results that are not meaningful, and a surface takes NaN as empty.
 * Options    Those of lrm.h. thread_count is ignored and progress functions are not called.
 */
#ifndef LRM_CUDA_H
#define LRM_CUDA_H

#include "lrm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CUDA's cudaStream_t and CUstream. NULL: the legacy default stream. */
typedef struct CUstream_st *lrm_cuda_stream;

/* A field in memory of the calling thread's current device. */
typedef struct lrm_cuda_field lrm_cuda_field;

/* options         as lrm_field_create. A field that the kernels were not compiled for is
                   LRM_ERROR_INVALID_ARGUMENT; the text names what differs.
   planes          device, [3, C, H, W] float32, row-major.
   weights, biases host, as lrm_field_create.
   stream          of the current device. */
LRM_API lrm_status lrm_cuda_field_create(const lrm_field_options *options, const float *planes,
                                         const float *const *weights, const float *const *biases,
                                         lrm_cuda_stream stream, lrm_cuda_field **field);
LRM_API void lrm_cuda_field_destroy(lrm_cuda_field *field);

/* Later calls are ordered on `stream`, of the same device, after all earlier ones; nothing waits on the
   host. The former stream may be destroyed once it has finished. */
LRM_API lrm_status lrm_cuda_field_set_stream(lrm_cuda_field *field, lrm_cuda_stream stream);

/* points   device, [point_count, 3] SDK frame.
   density  device, [point_count] or NULL.      rgb  device, [point_count, 3] or NULL. */
LRM_API lrm_status lrm_cuda_field_query(lrm_cuda_field *field, const float *points, size_t point_count,
                                        float *density, float *rgb);

/* density  device, [n, n, n], the grid of lrm_field_density_grid. n = resolution, 2..2048. */
LRM_API lrm_status lrm_cuda_field_density_grid(lrm_cuda_field *field, int32_t resolution, float *density);

/* rgb    device, [height, width, 3] or NULL.
   alpha  device, [height, width] or NULL.      depth  device, [height, width] or NULL.
   Meaning and bounds as lrm_field_render. The first call that is not exhaustive makes the field's
   lattice, which is kept. */
LRM_API lrm_status lrm_cuda_field_render(lrm_cuda_field *field, const lrm_camera *camera,
                                         const lrm_render_options *options, float *rgb, float *alpha,
                                         float *depth);

/* A surface in device memory. It may outlive its field, not the stream. */
typedef struct lrm_cuda_mesh lrm_cuda_mesh;

/* As lrm_field_mesh. Waits for the stream several times: the passes' counts come back. max_bytes
   bounds the densities of the blocks that the surface passes through, the largest part of the
   memory that this takes. On failure *mesh is NULL. */
LRM_API lrm_status lrm_cuda_field_mesh(lrm_cuda_field *field, const lrm_mesh_options *options,
                                       lrm_cuda_mesh **mesh);
LRM_API void lrm_cuda_mesh_destroy(lrm_cuda_mesh *mesh);

/* Sizes first, to host memory; does not wait. Either pointer may be NULL. */
LRM_API lrm_status lrm_cuda_mesh_counts(const lrm_cuda_mesh *mesh, size_t *vertex_count,
                                        size_t *face_count);

/* Then data, as lrm_mesh_copy but to device memory; any pointer may be NULL. */
LRM_API lrm_status lrm_cuda_mesh_copy(const lrm_cuda_mesh *mesh, size_t vertex_count,
                                      size_t face_count, float *vertices, float *normals,
                                      float *colors, uint32_t *faces);

#ifdef __cplusplus
}
#endif
#endif /* LRM_CUDA_H */
