#define LRM_LANES 4
#define LRM_KERNEL portable_kernel
#define LRM_KERNEL_NAME "portable"
#include "decoder_kernel_impl.h"
