// A network's kernel on vector instructions. Included once per instruction set by
// network_kernel_*.cpp, which set LRM_LANES and LRM_NETWORK_KERNEL.
#include "network_attention_impl.h"
#include "network_engine_vector.h"
#include "network_linear_impl.h"
#include "network_values_impl.h"

namespace lrm {

const NetworkKernel LRM_NETWORK_KERNEL = {
    Linear<VectorEngine>::row_block,
    Linear<VectorEngine>::packed_rows_bytes,
    Linear<VectorEngine>::pack_rows,
    Linear<VectorEngine>::scratch_bytes,
    Linear<VectorEngine>::run,
    Attention<VectorEngine>::packed_head_bytes,
    Attention<VectorEngine>::pack_head,
    Attention<VectorEngine>::scratch_bytes,
    Attention<VectorEngine>::run,
    layer_norm,
    depthwise,
    activate,
};

}  // namespace lrm
