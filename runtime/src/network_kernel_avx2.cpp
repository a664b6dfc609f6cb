#if defined(__x86_64__)
#define LRM_LANES 8
#define LRM_NETWORK_KERNEL avx2_network_kernel
#include "network_kernel_impl.h"
#endif
