/*
 * lrm.h - query, render and mesh the triplane field of a Large Reconstruction Model.
 *
 * One header, plain C11, no dependency. liblrm runs the network (picture -> planes) from a .lrmnet
 * file, or takes planes that another library made, and does everything after it. A complete program:
 *
 *   lrm_field_options options;
 *   lrm_field_options_init(&options);               // defaults, then what the engine.json says
 *   options.plane_channels = 24; options.plane_height = options.plane_width = 32;
 *   options.layer_widths = widths; options.layer_count = 3;         // 72 -> 64 -> 64 -> 4
 *   lrm_field *field = NULL;
 *   if (lrm_field_create(&options, planes, weights, biases, &field) != LRM_OK)
 *     return fprintf(stderr, "%s\n", lrm_last_error()), 1;
 *   lrm_mesh_options mesh_options;
 *   lrm_mesh_options_init(&mesh_options);
 *   lrm_mesh *mesh = NULL;
 *   if (lrm_field_mesh(field, &mesh_options, &mesh) == LRM_OK) { ... lrm_mesh_copy(...) ... }
 *   lrm_mesh_destroy(mesh); lrm_field_destroy(field);
 *
 * Planes that the library makes itself (shape: what lrm_network_get_shape says):
 *
 *   lrm_network_options network_options;
 *   lrm_network_options_init(&network_options);
 *   lrm_network *network = NULL;
 *   if (lrm_network_open("network.float32.lrmnet", &network_options, &network) == LRM_OK &&
 *       lrm_network_run(network, image, planes, NULL, NULL) == LRM_OK) { ... lrm_field_create(...) ... }
 *   lrm_network_close(network);
 *
 * Threads    A field is immutable once created: any number of threads may use one at once. Destroy it
 *            when no call is using it. A mesh and a network are likewise immutable. No other state is
 *            shared.
 * Ownership  The library copies what it is given and keeps no pointer of the caller's after a call
 *            returns. Handles belong to the caller until given to the matching destroy or close, which
 *            take NULL. Every pointer is to host memory.
 * Errors     LRM_OK is 0; any other status leaves outputs untouched and a text for this thread in
 *            lrm_last_error(). No C++ exception leaves the library.
 * Frames     Points, cameras, vertices and normals are in the SDK frame (glTF's: right-handed, +Y up,
 *            the object's front faces +Z), which `native_to_sdk` maps the model's own frame to.
 *            Dense grids are the one exception: their indices run along the native axes.
 * Colours    sRGB-encoded values as the model gives them, nominally in [0, 1].
 */
#ifndef LRM_H
#define LRM_H

#include <stddef.h>
#include <stdint.h>

#define LRM_VERSION_MAJOR 0
#define LRM_VERSION_MINOR 1
#define LRM_VERSION_PATCH 0

#if defined(_WIN32)
#  if defined(LRM_BUILD)
#    define LRM_API __declspec(dllexport)
#  else
#    define LRM_API __declspec(dllimport)
#  endif
#else
#  define LRM_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* -- Status ------------------------------------------------------------------------------------- */

typedef enum lrm_status {
  LRM_OK = 0,
  LRM_ERROR_INVALID_ARGUMENT = 1, /* a NULL, size, range or enumerator that cannot be right */
  LRM_ERROR_NOT_FINITE = 2,       /* NaN or infinity in planes, weights, points, a grid or a camera */
  LRM_ERROR_OUT_OF_MEMORY = 3,    /* an allocation failed, or max_bytes would be exceeded */
  LRM_ERROR_CANCELLED = 4,        /* the progress callback asked to stop */
  LRM_ERROR_EMPTY_SURFACE = 5,    /* no grid edge crosses the threshold; the text gives the range seen */
  LRM_ERROR_BUFFER_TOO_SMALL = 6, /* a caller's buffer is short; the text gives the need */
  LRM_ERROR_INTERNAL = 7,         /* a defect of the library */
  LRM_ERROR_DEVICE = 8            /* lrm_cuda.h: no driver or GPU, or CUDA reports an error */
} lrm_status;

/* The text of this thread's last failure: argument, what was expected, what came, what to do. Never
   NULL; valid until this thread's next call. */
LRM_API const char *lrm_last_error(void);

/* MAJOR * 10000 + MINOR * 100 + PATCH of the library that is running. */
LRM_API int32_t lrm_version(void);

/* The instruction set in use on this machine: "amx", "avx512", "avx2" or "portable", the best that it
   has or a lower one that the environment variable LRM_INSTRUCTION_SET names. Static storage.

   Chosen once, by the first call of this, of lrm_field_create or of lrm_network_open. On Linux, where the processor has AMX,
   that call asks the system to let the process use its tiles, and does without them if it refuses (a
   thread's alternate signal stack may be too small for them, or a sandbox forbid it). Once granted,
   the system refuses to every thread an alternate signal stack that has no room for the tiles (about
   11 KiB). With LRM_INSTRUCTION_SET=avx512, or any other value but amx, it is not asked. */
LRM_API const char *lrm_instruction_set(void);

/* Called on the thread that made the long call, with `fraction` in [0, 1], never falling. Return
   nonzero to cancel: the call then ends soon with LRM_ERROR_CANCELLED and no output. */
typedef int32_t (*lrm_progress_fn)(void *user_data, float fraction);

/* -- The network -------------------------------------------------------------------------------- */

/* An image-to-triplane transformer, planned by export/build_engine.py --backend native. The file
   (docs/ENGINE.md) is mapped, not read: it must stay as it is while the network is open. To replace it,
   rename another onto it; where one is shortened in place, the system ends the process (SIGBUS). Every
   offset in it is checked at opening: a damaged file is refused or gives wrong planes, no more. */
typedef struct lrm_network lrm_network;

typedef enum lrm_network_precision {
  LRM_NETWORK_FLOAT32 = 0,
  LRM_NETWORK_BFLOAT16 = 1 /* of matrices and products; with AMX also of what they are multiplied by */
} lrm_network_precision;

typedef struct lrm_network_options {
  size_t struct_size;   /* set by init */
  int32_t thread_count; /* threads a run may use, the caller's included; 0, the default: all cores */
} lrm_network_options;

typedef struct lrm_network_shape {
  size_t struct_size;   /* set by init */
  int32_t image[3];     /* channels, height, width */
  int32_t planes[4];    /* 3, channels, height, width */
  int32_t precision;    /* lrm_network_precision */
  int64_t weight_bytes; /* of the file, mapped */
  int64_t run_bytes;    /* of memory that each run takes while it lasts */
} lrm_network_shape;

LRM_API void lrm_network_options_init(lrm_network_options *options);
LRM_API void lrm_network_shape_init(lrm_network_shape *shape);

/* path in UTF-8. What is no such file, or a damaged one: LRM_ERROR_INVALID_ARGUMENT, with what is wrong. */
LRM_API lrm_status lrm_network_open(const char *path, const lrm_network_options *options,
                                    lrm_network **network);
LRM_API lrm_status lrm_network_get_shape(const lrm_network *network, lrm_network_shape *shape);

/* image   float32 of the shape's size, RGB in [0, 1], prepared as the engine.json says.
   planes  float32, for lrm_field_create, which refuses what is not finite: NaN in the image, or a sum
           beyond float32, leaves NaN or infinity in them.
   progress may be NULL; it is called between the steps of the network, a few hundred. */
LRM_API lrm_status lrm_network_run(const lrm_network *network, const float *image, float *planes,
                                   lrm_progress_fn progress, void *user_data);
LRM_API void lrm_network_close(lrm_network *network);

/* -- The field ---------------------------------------------------------------------------------- */

typedef enum lrm_reduction { LRM_REDUCTION_CONCAT = 0, LRM_REDUCTION_SUM = 1, LRM_REDUCTION_MEAN = 2 } lrm_reduction;
typedef enum lrm_activation { LRM_ACTIVATION_RELU = 0, LRM_ACTIVATION_SILU = 1 } lrm_activation;
typedef enum lrm_density_activation {
  LRM_DENSITY_EXP = 0,
  LRM_DENSITY_RELU = 1,
  LRM_DENSITY_SOFTPLUS = 2
} lrm_density_activation;
typedef enum lrm_outside {
  LRM_OUTSIDE_DECODE = 0, /* points outside the box are decoded like any other (zero padding) */
  LRM_OUTSIDE_EMPTY = 1   /* renders treat samples outside the box as density 0; queries do not */
} lrm_outside;

/* How a sample position becomes density and colour. For native p: q = p / radius; plane k samples
   (q[axes[k][0]] along its width, q[axes[k][1]] along its height) bilinearly with zero padding;
   features are reduced over planes, pass the MLP, and
     density = density_activation(out[0] + density_bias)
     rgb     = sigmoid(out[1..3]) * (1 + 2 color_widen) - color_widen.
   Source: Chan et al. 2022 (triplanes); TripoSR and OpenLRM (the two public parameterisations). */
typedef struct lrm_field_options {
  size_t struct_size; /* set by init */
  int32_t plane_channels, plane_height, plane_width; /* C, H, W >= 1; H, W >= 2 with align_corners */
  int32_t axes[3][2]; /* {along width, along height} per plane, 0..2; default xy, xz, yz */
  float radius;       /* half-extent of the box in native units, 1e-30 to 1e30; default 1 */
  int32_t align_corners; /* 0 or 1; default 0 */
  int32_t reduction;     /* lrm_reduction; default concat */
  int32_t activation;    /* lrm_activation between layers; default relu */
  int32_t density_activation; /* lrm_density_activation; default exp */
  float density_bias;         /* added before the activation; default 0 */
  float color_widen;          /* e >= 0; default 0 */
  int32_t outside;            /* lrm_outside; default decode */
  int32_t layer_count;        /* linear layers, 1..32 */
  const int32_t *layer_widths; /* [layer_count + 1]: features in (3C if concat, else C), ..., 4 */
  float native_to_sdk[16]; /* row-major 4x4, column vectors; rotation, uniform scale > 0, translation;
                              default identity */
  int32_t thread_count;    /* threads a call on this field may use, itself included; 0: all cores */
} lrm_field_options;

LRM_API void lrm_field_options_init(lrm_field_options *options);

typedef struct lrm_field lrm_field;

/* planes   [3, C, H, W] float32, row-major, finite.
   weights  [layer_count] pointers; layer l is [widths[l + 1], widths[l]] row-major, as torch.nn.Linear.
   biases   [layer_count] pointers; layer l is [widths[l + 1]]; a NULL entry means zeros. */
LRM_API lrm_status lrm_field_create(const lrm_field_options *options, const float *planes,
                                    const float *const *weights, const float *const *biases,
                                    lrm_field **field);
LRM_API void lrm_field_destroy(lrm_field *field);

/* Density (after activation) and colour at points.
   points   [point_count, 3] SDK frame, finite, anywhere.
   density  [point_count] or NULL.      rgb  [point_count, 3] or NULL. */
LRM_API lrm_status lrm_field_query(const lrm_field *field, const float *points, size_t point_count,
                                   float *density, float *rgb);

/* Density on the grid p_i = -r + 2 r i / (n - 1), n = resolution, both faces included.
   density  [n, n, n] float32, native axes, first index x, last (fastest) z. n in 2..2048.
   progress may be NULL. */
LRM_API lrm_status lrm_field_density_grid(const lrm_field *field, int32_t resolution, float *density,
                                          lrm_progress_fn progress, void *user_data);

/* -- Rendering ---------------------------------------------------------------------------------- */

/* A pinhole camera. Camera frame: +X right, +Y up, +Z back (OpenGL). Pixel (row j, column i) is seen
   along ((i + 1/2 - cx) / fx, -(j + 1/2 - cy) / fy, -1), normalised. */
typedef struct lrm_camera {
  size_t struct_size;         /* set by init */
  float camera_to_world[16];  /* row-major 4x4, rigid; SDK frame; default: at (0, 0, 3) looking along -Z */
  float fx, fy, cx, cy;       /* pixels; fx, fy > 0 */
  int32_t width, height;      /* pixels, 1..16384 */
} lrm_camera;

LRM_API void lrm_camera_init(lrm_camera *camera);

typedef enum lrm_ray_range {
  LRM_RAYS_BOX = 0,     /* clipped to the box of half side box_scale * radius; samples at the middles of
                           sample_count equal intervals (TripoSR; OpenLRM's converged integral) */
  LRM_RAYS_NEAR_FAR = 1 /* sample_count samples from near to far, both included (the LRM outline) */
} lrm_ray_range;

typedef enum lrm_step {
  LRM_STEP_LENGTH = 0,  /* alpha = 1 - exp(-density dt), dt in native units along the ray */
  LRM_STEP_UNIT = 1     /* dt = 1 / sample_count whatever the ray's length (TripoSR) */
} lrm_step;

typedef struct lrm_render_options {
  size_t struct_size;  /* set by init */
  int32_t ray_range;   /* lrm_ray_range; default box */
  int32_t step;        /* lrm_step; default length; NEAR_FAR takes LENGTH only */
  int32_t sample_count; /* per ray, 1..65536 (NEAR_FAR: >= 2); default 128 */
  float box_scale;     /* (0, 1]; default 1 */
  float near_distance, far_distance; /* SDK units along the ray, 0 <= near < far; NEAR_FAR only */
  float last_delta;    /* NEAR_FAR: length given to the last sample, native units; default 1e10 */
  float background[3]; /* sRGB; default white */
  int32_t exhaustive;  /* 1: evaluate every sample (the judge). 0, the default: skip empty space and
                          stop opaque rays; a pixel then moves by less than 1/255, if nothing in the
                          field is thinner than a cell, see below */
  lrm_progress_fn progress; /* may be NULL */
  void *user_data;
} lrm_render_options;

LRM_API void lrm_render_options_init(lrm_render_options *options);

/* What is empty is estimated from samples on a lattice of 64 cells across the box, or as many as the
   planes have texels, at most 128. Detail that is finer than a cell may be missed: thin sheets, and,
   where the rays leave the box (NEAR_FAR), the half texel around it in which zero padding fades the
   planes. On a shell that fades there, pixels were off by all of 1; of 279 renders of smooth random
   fields all but two were within 1/255, those off by 3/255 and 1.4/255 in one pixel. */

/* rgb    [height, width, 3] or NULL: composited over the background.
   alpha  [height, width] or NULL: opacity in [0, 1].
   depth  [height, width] or NULL: mean distance along the viewing axis, SDK units; 0 where alpha is 0. */
LRM_API lrm_status lrm_field_render(const lrm_field *field, const lrm_camera *camera,
                                    const lrm_render_options *options, float *rgb, float *alpha,
                                    float *depth);

/* -- Surface ------------------------------------------------------------------------------------ */

typedef struct lrm_mesh_options {
  size_t struct_size; /* set by init */
  int32_t resolution; /* grid points per axis, 2..2048; default 256 */
  float threshold;    /* density of the surface, > 0; inside is density > threshold; default 10 */
  int32_t refine_steps; /* root-finding steps per vertex on the true field, at most, 0..16; default 8;
                           a vertex rests when a step moves it by less than 1/256 of its edge.
                           0: linear interpolation between grid values (classic marching cubes) */
  int32_t close_border; /* 1, default: the box border closes the surface. 0: left open there */
  int32_t exhaustive;   /* 1: evaluate the dense grid (the judge). 0, the default: a coarse pass finds
                           seeds, the surface is tracked from there; equal to dense on every component
                           that the coarse pass saw */
  int32_t seed_stride;  /* grid points between coarse samples, 1..64; 0, the default: chosen */
  int32_t normals, colors; /* 1 (default) or 0: compute them */
  uint64_t max_bytes;   /* working memory allowed; 0, the default: no bound */
  lrm_progress_fn progress; /* may be NULL */
  void *user_data;
} lrm_mesh_options;

LRM_API void lrm_mesh_options_init(lrm_mesh_options *options);

typedef struct lrm_mesh lrm_mesh;

/* Marching cubes (Lorensen and Cline 1987) with shared vertices; faces counter-clockwise seen from
   outside. On failure *mesh is NULL. */
LRM_API lrm_status lrm_field_mesh(const lrm_field *field, const lrm_mesh_options *options, lrm_mesh **mesh);
LRM_API void lrm_mesh_destroy(lrm_mesh *mesh);

/* Sizes first. Either pointer may be NULL. */
LRM_API lrm_status lrm_mesh_counts(const lrm_mesh *mesh, size_t *vertex_count, size_t *face_count);

/* Then data; any pointer may be NULL. Counts are the room in the caller's buffers, in vertices and faces.
   vertices [vertex_count, 3] SDK frame.   normals [vertex_count, 3] unit, outward, SDK frame.
   colors   [vertex_count, 3] sRGB, clamped to [0, 1].   faces [face_count, 3].
   Normals or colours that were not computed: LRM_ERROR_INVALID_ARGUMENT. */
LRM_API lrm_status lrm_mesh_copy(const lrm_mesh *mesh, size_t vertex_count, size_t face_count,
                                 float *vertices, float *normals, float *colors, uint32_t *faces);

/* Marching cubes of a caller's grid by the same code path (no field, so no refinement, normals or
   colours): density [n, n, n] as lrm_field_density_grid; vertices in [-radius, radius], native frame.
   A second user of the tables, for comparisons and for grids made elsewhere. */
LRM_API lrm_status lrm_grid_mesh(const float *density, int32_t resolution, float radius, float threshold,
                                 int32_t close_border, lrm_mesh **mesh);

#ifdef __cplusplus
}
#endif
#endif /* LRM_H */
