/* mesh_from_picture FOLDER NETWORK.lrmnet PICTURE.ppm OUT.ply [RESOLUTION]: a picture becomes a
 * coloured mesh, with C and liblrm alone.
 *
 *   FOLDER    of any scene of the same engine, by Python's scene.save_field: says what the field is
 *   NETWORK   of an engine built with --backend native: ENGINE.lrm/network.float32.lrmnet
 *   PICTURE   binary PPM of the network's size, prepared as engine.json's `input` says: the subject
 *             in the middle, over the background
 *
 *   cc -std=c11 -I runtime/include examples/mesh_from_picture.c examples/scene_files.c \
 *      -L DIR -llrm -lm -o mesh_from_picture
 */
#include <lrm.h>
#include <stdio.h>
#include <stdlib.h>

#include "scene_files.h"

const char* const program_name = "mesh_from_picture";

/* [3, height, width] in [0, 1]; the caller frees it. NULL after fail(). */
static float* read_picture(const char* path, int height, int width) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) return fail(path, "cannot be opened"), NULL;
  const size_t pixels = (size_t)height * (size_t)width;
  unsigned char* bytes = malloc(3 * pixels);
  float* image = malloc(3 * pixels * sizeof *image);
  int found[3] = {0};
  int good = bytes != NULL && image != NULL &&
             fscanf(file, "P6 %9d %9d %9d", &found[0], &found[1], &found[2]) == 3 &&
             found[0] == width && found[1] == height && found[2] == 255 && fgetc(file) != EOF &&
             fread(bytes, 3, pixels, file) == pixels;
  for (size_t i = 0; good && i < pixels; ++i) {
    for (size_t c = 0; c < 3; ++c) image[c * pixels + i] = (float)bytes[3 * i + c] / 255;
  }
  if (!good) {
    char text[128];
    snprintf(text, sizeof text, "expected a binary PPM (P6, maximum 255) of %d x %d pixels", width,
             height);
    fail(path, text);
    free(image);
  }
  free(bytes);
  fclose(file);
  return good ? image : NULL;
}

static int same_planes(const lrm_network_shape* network, const lrm_field_options* field) {
  return network->planes[1] == field->plane_channels && network->planes[2] == field->plane_height &&
         network->planes[3] == field->plane_width;
}

/* Puts the network's planes in the place of the scene's own. */
static int reconstruct(const char* network_path, const char* picture_path, saved_scene* scene) {
  lrm_network_options options;
  lrm_network_options_init(&options);
  lrm_network* network = NULL;
  lrm_network_shape shape;
  lrm_network_shape_init(&shape);
  int done = lrm_network_open(network_path, &options, &network) == LRM_OK &&
             lrm_network_get_shape(network, &shape) == LRM_OK;
  if (!done) {
    fail("liblrm", lrm_last_error());
  } else if (!same_planes(&shape, &scene->field)) {
    done = fail(network_path, "expected planes of the size that field.txt says");
  } else {
    float* image = read_picture(picture_path, shape.image[1], shape.image[2]);
    done = image != NULL;
    if (done && lrm_network_run(network, image, scene->planes, NULL, NULL) != LRM_OK)
      done = fail("liblrm", lrm_last_error());
    free(image);
  }
  lrm_network_close(network);
  return done;
}

static int run(char** argv, const char* resolution) {
  saved_scene scene;
  const int done = read_scene(argv[1], &scene) && reconstruct(argv[2], argv[3], &scene) &&
                   mesh_scene(&scene, resolution, argv[4]);
  free_scene(&scene);
  return done;
}

int main(int argc, char** argv) {
  if (argc == 5 || argc == 6) return run(argv, argc == 6 ? argv[5] : NULL) ? 0 : 1;
  fputs("usage: mesh_from_picture FOLDER NETWORK.lrmnet PICTURE.ppm OUT.ply [RESOLUTION]\n",
        stderr);
  return 2;
}
