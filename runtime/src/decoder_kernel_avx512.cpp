#if defined(__x86_64__)
#define LRM_LANES 16
#define LRM_KERNEL avx512_kernel
#define LRM_KERNEL_NAME "avx512"
#include "decoder_kernel_impl.h"
#endif
