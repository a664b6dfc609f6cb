// The part of the CUDA runtime that stream.h uses, on a CPU, beside host_shim.h: for tests of the C
// entry points where there is no GPU. Every call is done when it returns; which stream it was given
// to is noted. New memory is poisoned, all of it is counted, and a limit makes allocations fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "lrm.h"

using cudaStream_t = CUstream_st*;
using cudaEvent_t = cudaStream_t*;  // the stream that it was recorded on

constexpr unsigned cudaEventDisableTiming = 2;

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorNoKernelImageForDevice = 209
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaMemoryType { cudaMemoryTypeUnregistered, cudaMemoryTypeHost, cudaMemoryTypeDevice };
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16 };
struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
};

namespace lrm::host_runtime {

constexpr std::size_t alignment = 256;  // as cudaMalloc's

struct Memory {
  std::map<const char*, std::size_t> blocks;
  std::size_t used = 0, limit = ~std::size_t{0};
};
inline Memory memory;

// Lines of "what stream".
inline std::string notes;
inline void note(const char* what, cudaStream_t stream) {
  notes += what + (" " + std::to_string(reinterpret_cast<std::uintptr_t>(stream))) + "\n";
}

}  // namespace lrm::host_runtime

inline cudaError_t cudaMallocAsync(void** pointer, std::size_t size, cudaStream_t stream) {
  using namespace lrm::host_runtime;
  note("malloc", stream);
  if (size > memory.limit || memory.used > memory.limit - size) return cudaErrorMemoryAllocation;
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  *pointer = std::aligned_alloc(alignment, whole);
  if (*pointer == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*pointer, 0xFF, whole);
  memory.blocks[static_cast<const char*>(*pointer)] = size;
  memory.used += size;
  return cudaSuccess;
}

inline cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  using namespace lrm::host_runtime;
  note("free", stream);
  const auto block = memory.blocks.find(static_cast<const char*>(pointer));
  if (block == memory.blocks.end()) return cudaErrorInvalidValue;
  memory.used -= block->second;
  memory.blocks.erase(block);
  std::free(pointer);
  return cudaSuccess;
}

inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes,
                                            const void* pointer) {
  using namespace lrm::host_runtime;
  const char* place = static_cast<const char*>(pointer);
  auto block = memory.blocks.upper_bound(place);
  const bool known = block != memory.blocks.begin() && place < (--block)->first + block->second;
  *attributes = {known ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered, known ? 0 : -2};
  return cudaSuccess;
}

inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind,
                                   cudaStream_t) {
  std::memcpy(to, from, size);
  return cudaSuccess;
}

inline cudaError_t cudaMemsetAsync(void* to, int byte, std::size_t size, cudaStream_t) {
  std::memset(to, byte, size);
  return cudaSuccess;
}

inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new cudaStream_t{};
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  *event = stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  lrm::host_runtime::note("wait of", stream);
  lrm::host_runtime::note("for", *event);
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }
inline const char* cudaGetErrorString(cudaError_t) { return "an error"; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = 2;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

// For the tests.
extern "C" {
inline __attribute__((visibility("default"), used)) void* lrm_host_runtime_allocate(size_t size) {
  void* pointer = nullptr;
  return cudaMallocAsync(&pointer, size, nullptr) == cudaSuccess ? pointer : nullptr;
}
inline __attribute__((visibility("default"), used)) void lrm_host_runtime_free(void* pointer) {
  cudaFreeAsync(pointer, nullptr);
}
// What was noted since the last call; until the next one.
inline __attribute__((visibility("default"), used)) const char* lrm_host_runtime_notes(void) {
  static std::string given;
  given.swap(lrm::host_runtime::notes);
  lrm::host_runtime::notes.clear();
  return given.c_str();
}
inline __attribute__((visibility("default"), used)) size_t lrm_host_runtime_used(void) {
  return lrm::host_runtime::memory.used;
}
inline __attribute__((visibility("default"), used)) void lrm_host_runtime_limit(size_t bytes) {
  lrm::host_runtime::memory.limit = bytes;
}
}
