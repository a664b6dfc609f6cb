#if defined(__x86_64__)
#define LRM_LANES 8
#define LRM_KERNEL avx2_kernel
#define LRM_KERNEL_NAME "avx2"
#include "decoder_kernel_impl.h"
#endif
