// The C functions of lrm.h that concern the network.
#include <cstring>

#include "api_guard.h"
#include "network.h"

struct lrm_network {
  lrm::Network network;
};

namespace lrm {
namespace {

constexpr std::size_t network_options_v1 = sizeof(lrm_network_options);
constexpr std::size_t network_shape_v1 = sizeof(lrm_network_shape);

lrm_network_options default_network_options() {
  lrm_network_options options = {};
  options.struct_size = sizeof options;
  return options;
}

}  // namespace
}  // namespace lrm

using namespace lrm;

void lrm_network_options_init(lrm_network_options* options) {
  if (options != nullptr) *options = default_network_options();
}

void lrm_network_shape_init(lrm_network_shape* shape) {
  if (shape == nullptr) return;
  *shape = {};
  shape->struct_size = sizeof *shape;
}

lrm_status lrm_network_open(const char* path, const lrm_network_options* options,
                            lrm_network** network) {
  return guarded([&] {
    require_pointer(path, "path");
    require_pointer(network, "network");
    const lrm_network_options complete =
        complete_options(options, default_network_options(), network_options_v1, "options");
    require_int(complete.thread_count, 0, 1024, "options.thread_count");
    *network = new lrm_network{{path, complete.thread_count}};
  });
}

lrm_status lrm_network_get_shape(const lrm_network* network, lrm_network_shape* shape) {
  return guarded([&] {
    require_pointer(network, "network");
    require_pointer(shape, "shape");
    require_struct_size(shape->struct_size, network_shape_v1, sizeof *shape, "shape");
    const NetworkPlan& plan = network->network.plan();
    lrm_network_shape found = {};
    found.struct_size = shape->struct_size;
    for (int i = 0; i < 3; ++i) found.image[i] = static_cast<std::int32_t>(plan.image[i]);
    for (int i = 0; i < 4; ++i) found.planes[i] = static_cast<std::int32_t>(plan.planes[i]);
    found.precision = plan.bfloat16 ? LRM_NETWORK_BFLOAT16 : LRM_NETWORK_FLOAT32;
    found.weight_bytes = plan.weight_bytes;
    found.run_bytes = network->network.run_bytes();
    std::memcpy(shape, &found, shape->struct_size);
  });
}

lrm_status lrm_network_run(const lrm_network* network, const float* image, float* planes,
                           lrm_progress_fn progress, void* user_data) {
  return guarded([&] {
    require_pointer(network, "network");
    require_pointer(image, "image");
    require_pointer(planes, "planes");
    network->network.run(image, planes, Progress(progress, user_data));
  });
}

void lrm_network_close(lrm_network* network) { delete network; }
