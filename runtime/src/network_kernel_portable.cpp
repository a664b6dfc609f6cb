#define LRM_LANES 4
#define LRM_NETWORK_KERNEL portable_network_kernel
#include "network_kernel_impl.h"
