/* The files that Python's scene.save_field writes, and PLY, for the C examples. */
#ifndef LRM_EXAMPLES_SCENE_FILES_H
#define LRM_EXAMPLES_SCENE_FILES_H

#include <lrm.h>

enum { MOST_LAYERS = 32, MOST_SIDE = 8192 }; /* keeps sizes in range; liblrm checks the rest */

typedef struct {
  lrm_field_options field; /* layer_widths points into `widths`: do not copy the struct */
  lrm_mesh_options mesh;
  int32_t widths[MOST_LAYERS + 1];
  float* planes; /* [3, C, H, W] */
  float* layers; /* each layer's weights, then its biases, one layer after the other */
  const float *weights[MOST_LAYERS], *biases[MOST_LAYERS]; /* into `layers` */
} saved_scene;

typedef struct {
  size_t vertex_count, face_count;
  float *vertices, *colors; /* [V, 3] */
  uint32_t* faces;          /* [F, 3] */
} mesh_arrays;

/* Each example's own. */
extern const char* const program_name;

/* Says on stderr what is wrong with what; returns 0. */
int fail(const char* what, const char* why);

/* Whatever they return, 1 or 0, free_scene may and must be called afterwards. */
int read_scene(const char* folder, saved_scene* scene);
void free_scene(saved_scene* scene);

/* ASCII PLY; colours in [0, 1] become bytes. Returns 1, or 0 after fail(). */
int write_ply(const char* path, const mesh_arrays* mesh);

/* The scene's surface as a PLY file; resolution NULL: the scene's own. Returns 1, or 0 after
 * fail(). */
int mesh_scene(saved_scene* scene, const char* resolution, const char* path);

#endif
