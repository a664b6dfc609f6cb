/* mesh_from_planes FOLDER OUT.ply [RESOLUTION]: a scene that Python's scene.save_field(FOLDER)
 * saved becomes a coloured mesh, with C and liblrm alone.
 *
 *   cc -std=c11 -I runtime/include examples/mesh_from_planes.c examples/scene_files.c \
 *      -L DIR -llrm -lm -o mesh_from_planes
 */
#include <lrm.h>
#include <stdio.h>

#include "scene_files.h"

const char* const program_name = "mesh_from_planes";

static int run(const char* folder, const char* out, const char* resolution) {
  saved_scene scene;
  const int done = read_scene(folder, &scene) && mesh_scene(&scene, resolution, out);
  free_scene(&scene);
  return done;
}

int main(int argc, char** argv) {
  if (argc == 3 || argc == 4) return run(argv[1], argv[2], argv[3]) ? 0 : 1;
  fputs("usage: mesh_from_planes FOLDER OUT.ply [RESOLUTION]\n", stderr);
  return 2;
}
