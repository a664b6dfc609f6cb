// A network's kernel on matrix instructions: float32 as three bfloat16, or bfloat16 as it is.
#if defined(__x86_64__)
#define LRM_LANES 16
#include "network_attention_impl.h"
#include "network_engine_tiles.h"
#include "network_linear_impl.h"
#include "network_values_impl.h"

namespace lrm {
namespace {

// The step of the engine for the work's precision.
#define LRM_BY_PRECISION(step, ...) \
  (w.bfloat16 ? step<TileEngine<1>>::__VA_ARGS__ : step<TileEngine<3>>::__VA_ARGS__)

int row_block(const LinearWork& w) { return LRM_BY_PRECISION(Linear, row_block(w)); }
long long packed_rows_bytes(const LinearWork& w) {
  return LRM_BY_PRECISION(Linear, packed_rows_bytes(w));
}
void pack_rows(const LinearWork& w, int first, int count, void* packed) {
  LRM_BY_PRECISION(Linear, pack_rows(w, first, count, packed));
}
long long linear_scratch_bytes(const LinearWork& w, int count) {
  return LRM_BY_PRECISION(Linear, scratch_bytes(w, count));
}
void linear(const LinearWork& w, const void* packed, int first, int count, void* scratch) {
  LRM_BY_PRECISION(Linear, run(w, packed, first, count, scratch));
}
long long packed_head_bytes(const AttentionWork& w) {
  return LRM_BY_PRECISION(Attention, packed_head_bytes(w));
}
void pack_head(const AttentionWork& w, int head, void* packed) {
  LRM_BY_PRECISION(Attention, pack_head(w, head, packed));
}
long long attention_scratch_bytes(const AttentionWork& w, int count) {
  return LRM_BY_PRECISION(Attention, scratch_bytes(w, count));
}
void attention(const AttentionWork& w, const void* packed, int head, int first, int count,
               void* scratch) {
  LRM_BY_PRECISION(Attention, run(w, packed, head, first, count, scratch));
}

}  // namespace

const NetworkKernel amx_network_kernel = {
    row_block, packed_rows_bytes, pack_rows, linear_scratch_bytes,
    linear,    packed_head_bytes, pack_head, attention_scratch_bytes,
    attention, layer_norm,        depthwise, activate,
};

}  // namespace lrm
#endif
