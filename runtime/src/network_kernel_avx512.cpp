#if defined(__x86_64__)
#define LRM_LANES 16
#define LRM_NETWORK_KERNEL avx512_network_kernel
#include "network_kernel_impl.h"
#endif
