/* See scene_files.h. (.npy files are little-endian, as this machine must be.) */
#include "scene_files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s: %s\n", program_name, what, why);
  return 0;
}

static FILE* open_in(const char* folder, const char* name) {
  char path[1024];
  int length = snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE* file = length < (int)sizeof path ? fopen(path, "rb") : NULL;
  if (file == NULL) fail(path, "cannot be opened");
  return file;
}

/* field.txt: names and numbers in a fixed order; integers of nine digits at most cannot overflow.
 */
static int parse_options(FILE* file, lrm_field_options* o, int32_t* widths, lrm_mesh_options* m) {
  int32_t *a = o->axes[0], *b = o->axes[1], *c = o->axes[2];
  const char* format =
      "plane_channels %9d plane_height %9d plane_width %9d axes %9d %9d %9d %9d %9d %9d radius %f "
      "align_corners %9d reduction %9d activation %9d density_activation %9d density_bias %f "
      "color_widen %f outside %9d layer_count %9d layer_widths";
  int found = fscanf(file, format, &o->plane_channels, &o->plane_height, &o->plane_width, &a[0],
                     &a[1], &b[0], &b[1], &c[0], &c[1], &o->radius, &o->align_corners,
                     &o->reduction, &o->activation, &o->density_activation, &o->density_bias,
                     &o->color_widen, &o->outside, &o->layer_count);
  if (found != 18 || o->layer_count < 1 || o->layer_count > MOST_LAYERS) return 0;
  for (int i = 0; i <= o->layer_count; ++i) {
    if (fscanf(file, "%9d", &widths[i]) != 1 || widths[i] < 1 || widths[i] > MOST_SIDE) return 0;
  }
  for (int i = 0; i < 16; ++i) {
    if (fscanf(file, i == 0 ? " native_to_sdk %f" : "%f", &o->native_to_sdk[i]) != 1) return 0;
  }
  if (fscanf(file, " mesh_resolution %9d mesh_threshold %f", &m->resolution, &m->threshold) != 2)
    return 0;
  const int32_t size[3] = {o->plane_channels, o->plane_height, o->plane_width};
  for (int i = 0; i < 3; ++i) {
    if (size[i] < 1 || size[i] > MOST_SIDE) return 0;
  }
  o->layer_widths = widths;
  return 1;
}

/* The numbers of an .npy file, whose header must be the one that NumPy writes for this shape. The
   caller frees them. */
static float* read_npy(const char* folder, const char* name, const char* shape, size_t count) {
  FILE* file = open_in(folder, name);
  if (file == NULL) return NULL;
  unsigned char start[10] = {0}; /* magic, version 1.0, length of the header */
  char header[256] = "", expected[256];
  snprintf(expected, sizeof expected, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }",
           shape);
  int known = fread(start, 1, 10, file) == 10 && memcmp(start, "\x93NUMPY\1\0", 8) == 0;
  size_t length = start[8] + 256u * start[9];
  known = known && length < sizeof header && fread(header, 1, length, file) == length;
  float* values = NULL;
  if (!known || strncmp(header, expected, strlen(expected)) != 0) {
    fail(name, "expected float32 numbers of the shape that field.txt says");
  } else if ((values = malloc(count * sizeof *values)) == NULL) {
    fail(name, "no memory for its numbers");
  } else if (fread(values, sizeof *values, count, file) != count || fgetc(file) != EOF) {
    fail(name, "is cut short, or longer than its header says");
    free(values);
    values = NULL;
  }
  fclose(file);
  return values;
}

/* Where each layer's numbers begin. */
static void place_layers(saved_scene* scene) {
  const float* next = scene->layers;
  for (int i = 0; i < scene->field.layer_count; ++i) {
    const size_t in = (size_t)scene->widths[i], out = (size_t)scene->widths[i + 1];
    scene->weights[i] = next;
    scene->biases[i] = next + in * out;
    next += in * out + out;
  }
}

int read_scene(const char* folder, saved_scene* scene) {
  lrm_field_options* o = &scene->field;
  lrm_field_options_init(o);
  lrm_mesh_options_init(&scene->mesh);
  scene->planes = scene->layers = NULL;
  FILE* file = open_in(folder, "field.txt");
  if (file == NULL) return 0;
  const int parsed = parse_options(file, o, scene->widths, &scene->mesh);
  fclose(file);
  if (!parsed) return fail("field.txt", "expected the lines of scene.save_field, in their order");

  const size_t c = (size_t)o->plane_channels;
  const size_t h = (size_t)o->plane_height, w = (size_t)o->plane_width;
  char shape[64];
  snprintf(shape, sizeof shape, "3, %zu, %zu, %zu", c, h, w);
  scene->planes = read_npy(folder, "planes.npy", shape, 3 * c * h * w);
  if (scene->planes == NULL) return 0;
  size_t count = 0;
  for (int i = 0; i < o->layer_count; ++i) {
    count += (size_t)(scene->widths[i] + 1) * (size_t)scene->widths[i + 1];
  }
  snprintf(shape, sizeof shape, "%zu,", count);
  scene->layers = read_npy(folder, "layers.npy", shape, count);
  if (scene->layers == NULL) return 0;
  place_layers(scene);
  return 1;
}

void free_scene(saved_scene* scene) {
  free(scene->planes);
  free(scene->layers);
}

static void print_ply(FILE* file, const mesh_arrays* mesh) {
  fprintf(file, "ply\nformat ascii 1.0\nelement vertex %zu\n", mesh->vertex_count);
  fputs("property float x\nproperty float y\nproperty float z\n", file);
  fputs("property uchar red\nproperty uchar green\nproperty uchar blue\n", file);
  fprintf(file, "element face %zu\nproperty list uchar uint vertex_indices\n", mesh->face_count);
  fputs("end_header\n", file);
  for (size_t i = 0; i < 3 * mesh->vertex_count; i += 3) {
    const float *v = mesh->vertices + i, *c = mesh->colors + i;
    fprintf(file, "%.9g %.9g %.9g ", (double)v[0], (double)v[1], (double)v[2]);
    fprintf(file, "%ld %ld %ld\n", lroundf(255 * c[0]), lroundf(255 * c[1]), lroundf(255 * c[2]));
  }
  for (size_t i = 0; i < 3 * mesh->face_count; i += 3) {
    const uint32_t* f = mesh->faces + i;
    fprintf(file, "3 %lu %lu %lu\n", (unsigned long)f[0], (unsigned long)f[1], (unsigned long)f[2]);
  }
}

int write_ply(const char* path, const mesh_arrays* mesh) {
  FILE* file = fopen(path, "wb");
  if (file == NULL) return fail(path, "cannot be opened for writing");
  print_ply(file, mesh);
  const int failed = ferror(file);
  if (fclose(file) != 0 || failed) return fail(path, "cannot be written to its end");
  return 1;
}

static int save_mesh(const char* path, const lrm_mesh* mesh) {
  mesh_arrays m = {0};
  lrm_mesh_counts(mesh, &m.vertex_count, &m.face_count);
  m.vertices = malloc(3 * m.vertex_count * sizeof *m.vertices);
  m.colors = malloc(3 * m.vertex_count * sizeof *m.colors);
  m.faces = malloc(3 * m.face_count * sizeof *m.faces);
  int done = 0;
  if (m.vertices == NULL || m.colors == NULL || m.faces == NULL) {
    fail(path, "no memory for the mesh");
  } else if (lrm_mesh_copy(mesh, m.vertex_count, m.face_count, m.vertices, NULL, m.colors,
                           m.faces) != LRM_OK) {
    fail("liblrm", lrm_last_error());
  } else {
    done = write_ply(path, &m);
  }
  free(m.vertices);
  free(m.colors);
  free(m.faces);
  return done;
}

int mesh_scene(saved_scene* scene, const char* resolution, const char* path) {
  lrm_field* field = NULL;
  lrm_mesh* mesh = NULL;
  if (resolution != NULL) scene->mesh.resolution = atoi(resolution);
  scene->mesh.normals = 0;
  int done = lrm_field_create(&scene->field, scene->planes, scene->weights, scene->biases,
                              &field) == LRM_OK &&
             lrm_field_mesh(field, &scene->mesh, &mesh) == LRM_OK;
  done = done ? save_mesh(path, mesh) : fail("liblrm", lrm_last_error());
  lrm_mesh_destroy(mesh);
  lrm_field_destroy(field);
  return done;
}
