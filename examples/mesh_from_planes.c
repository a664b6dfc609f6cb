/* mesh_from_planes FOLDER OUT.ply [RESOLUTION]: a scene that Python's scene.save_field(FOLDER)
 * saved becomes a coloured mesh, with C and liblrm alone. (.npy files are little-endian, as this
 * machine must be.)
 *
 *   cc -std=c11 -I runtime/include examples/mesh_from_planes.c -L DIR -llrm -lm -o mesh_from_planes
 */
#include <lrm.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LAYERS = 32, MOST_SIDE = 8192 }; /* keeps sizes in range; liblrm checks the rest */

static int fail(const char* what, const char* why) {
  fprintf(stderr, "mesh_from_planes: %s: %s\n", what, why);
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

static void print_ply(FILE* file, size_t vertex_count, size_t face_count, const float* vertices,
                      const float* colors, const uint32_t* faces) {
  fprintf(file, "ply\nformat ascii 1.0\nelement vertex %zu\n", vertex_count);
  fputs("property float x\nproperty float y\nproperty float z\n", file);
  fputs("property uchar red\nproperty uchar green\nproperty uchar blue\n", file);
  fprintf(file, "element face %zu\nproperty list uchar uint vertex_indices\n", face_count);
  fputs("end_header\n", file);
  for (size_t i = 0; i < 3 * vertex_count; i += 3) {
    const float *v = vertices + i, *c = colors + i;
    fprintf(file, "%.9g %.9g %.9g ", (double)v[0], (double)v[1], (double)v[2]);
    fprintf(file, "%ld %ld %ld\n", lroundf(255 * c[0]), lroundf(255 * c[1]), lroundf(255 * c[2]));
  }
  for (size_t i = 0; i < 3 * face_count; i += 3) {
    fprintf(file, "3 %lu %lu %lu\n", (unsigned long)faces[i], (unsigned long)faces[i + 1],
            (unsigned long)faces[i + 2]);
  }
}

static int write_ply(const char* path, const lrm_mesh* mesh) {
  size_t vertex_count = 0, face_count = 0;
  lrm_mesh_counts(mesh, &vertex_count, &face_count);
  float* vertices = malloc(3 * vertex_count * sizeof *vertices);
  float* colors = malloc(3 * vertex_count * sizeof *colors);
  uint32_t* faces = malloc(3 * face_count * sizeof *faces);
  FILE* file = NULL;
  int done = 0;
  if (vertices == NULL || colors == NULL || faces == NULL) {
    fail(path, "no memory for the mesh");
  } else if (lrm_mesh_copy(mesh, vertex_count, face_count, vertices, NULL, colors, faces) !=
             LRM_OK) {
    fail("liblrm", lrm_last_error());
  } else if ((file = fopen(path, "wb")) == NULL) {
    fail(path, "cannot be opened for writing");
  } else {
    print_ply(file, vertex_count, face_count, vertices, colors, faces);
    const int failed = ferror(file);
    done = fclose(file) == 0 && !failed;
    if (!done) fail(path, "cannot be written to its end");
  }
  free(vertices);
  free(colors);
  free(faces);
  return done;
}

/* layers holds each layer's weights, then its biases, one layer after the other. */
static int make_mesh(const lrm_field_options* options, const lrm_mesh_options* mesh_options,
                     const float* planes, const float* layers, const char* path) {
  const float *weights[MOST_LAYERS], *biases[MOST_LAYERS];
  for (int i = 0; i < options->layer_count; ++i) {
    const size_t in = (size_t)options->layer_widths[i], out = (size_t)options->layer_widths[i + 1];
    weights[i] = layers;
    biases[i] = layers + in * out;
    layers += in * out + out;
  }
  lrm_field* field = NULL;
  lrm_mesh* mesh = NULL;
  int done = lrm_field_create(options, planes, weights, biases, &field) == LRM_OK &&
             lrm_field_mesh(field, mesh_options, &mesh) == LRM_OK;
  done = done ? write_ply(path, mesh) : fail("liblrm", lrm_last_error());
  lrm_mesh_destroy(mesh);
  lrm_field_destroy(field);
  return done;
}

static int run(const char* folder, const char* out, const char* resolution) {
  int32_t widths[MOST_LAYERS + 1];
  lrm_field_options o;
  lrm_mesh_options m;
  lrm_field_options_init(&o);
  lrm_mesh_options_init(&m);
  FILE* file = open_in(folder, "field.txt");
  if (file == NULL) return 0;
  const int parsed = parse_options(file, &o, widths, &m);
  fclose(file);
  if (!parsed) return fail("field.txt", "expected the lines of scene.save_field, in their order");
  if (resolution != NULL) m.resolution = atoi(resolution);
  m.normals = 0;

  const size_t c = (size_t)o.plane_channels, h = (size_t)o.plane_height, w = (size_t)o.plane_width;
  char shape[64];
  snprintf(shape, sizeof shape, "3, %zu, %zu, %zu", c, h, w);
  float* planes = read_npy(folder, "planes.npy", shape, 3 * c * h * w);
  size_t count = 0;
  for (int i = 0; i < o.layer_count; ++i) count += (size_t)(widths[i] + 1) * (size_t)widths[i + 1];
  snprintf(shape, sizeof shape, "%zu,", count);
  float* layers = planes == NULL ? NULL : read_npy(folder, "layers.npy", shape, count);
  const int done = layers != NULL && make_mesh(&o, &m, planes, layers, out);
  free(planes);
  free(layers);
  return done;
}

int main(int argc, char** argv) {
  if (argc == 3 || argc == 4) return run(argv[1], argv[2], argv[3]) ? 0 : 1;
  fputs("usage: mesh_from_planes FOLDER OUT.ply [RESOLUTION]\n", stderr);
  return 2;
}
