// Exclusive prefix sums on a device, by the kernels of scan.cu. As lrm_sdk/cuda/scan.py.
#pragma once

#include "stream.h"

namespace lrm {

// [count + 1] from [count]: what comes before each value; the last one is the total.
inline DeviceArray<unsigned> exclusive_scan(const Stream& stream,
                                            const DeviceArray<unsigned>& values, int count) {
  constexpr int threads = 128;
  const int chunks = static_cast<int>(
      (static_cast<std::int64_t>(count) + lrm_kernels::scan_chunk - 1) / lrm_kernels::scan_chunk);
  DeviceArray<unsigned> bases;
  if (chunks > 1) {
    const DeviceArray<unsigned> sums(stream, static_cast<std::size_t>(chunks));
    stream.launch(lrm_scan_sums, "lrm_scan_sums", chunks, threads, values.data(), count,
                  sums.data());
    bases = exclusive_scan(stream, sums, chunks);
  }
  DeviceArray<unsigned> offsets(stream, static_cast<std::size_t>(count) + 1);
  stream.launch(lrm_scan_offsets, "lrm_scan_offsets", chunks, threads, values.data(), count,
                bases.data(), offsets.data(), nullptr);
  return offsets;
}

}  // namespace lrm
