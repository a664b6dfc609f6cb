// Exclusive prefix sums of unsigned counts, 32 to a thread: the sums of such chunks are scanned
// first, by the same kernels, until one chunk is left.
#include "platform.cuh"

namespace lrm {

constexpr int scan_chunk = 32;

}  // namespace lrm

// sums [ceil(count / 32)]
extern "C" __global__ void lrm_scan_sums(const unsigned* __restrict__ values, int count,
                                         unsigned* __restrict__ sums) {
  using namespace lrm;
  const long long first = thread_index() * scan_chunk;
  if (first >= count) return;
  unsigned sum = 0;
  for (int i = 0; i < scan_chunk && first + i < count; ++i) sum += values[first + i];
  sums[first / scan_chunk] = sum;
}

// bases    [ceil(count / 32)], the scanned sums of the chunks, or NULL if there is one
// offsets  [count + 1]; the last one is the total, also written to total [1] unless that is NULL
extern "C" __global__ void lrm_scan_offsets(const unsigned* __restrict__ values, int count,
                                            const unsigned* __restrict__ bases,
                                            unsigned* __restrict__ offsets,
                                            unsigned* __restrict__ total) {
  using namespace lrm;
  const long long first = thread_index() * scan_chunk;
  if (first >= count) return;
  unsigned sum = bases != nullptr ? bases[first / scan_chunk] : 0;
  for (int i = 0; i < scan_chunk && first + i < count; ++i) {
    offsets[first + i] = sum;
    sum += values[first + i];
  }
  if (first + scan_chunk < count) return;
  offsets[count] = sum;
  if (total != nullptr) *total = sum;
}
