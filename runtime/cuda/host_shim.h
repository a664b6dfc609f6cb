// CUDA's words for a C++ compiler, so that the kernels run on a CPU: for tests of their arithmetic
// and indexing where there is no GPU. Slow, single-threaded, for Linux.
#pragma once

#include <cmath>
#include <cstring>
#include <utility>

#include "host_tensor_core.h"
#include "host_threads.h"

#define __global__
#define __device__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)

struct float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

namespace lrm::shim {

template <class... Arguments, std::size_t... kIndex>
void call(void (*kernel)(Arguments...), void** arguments, std::index_sequence<kIndex...>) {
  kernel(*static_cast<Arguments*>(arguments[kIndex])...);
}

// Arguments as cuLaunchKernel takes them. One-dimensional grids and blocks, one after the other.
template <class... Arguments>
void launch(void (*kernel)(Arguments...), unsigned blocks, unsigned threads, void** arguments) {
  gridDim = {{blocks, 1, 1}};
  blockDim = {{threads, 1, 1}};
  const auto thread = [&] { call(kernel, arguments, std::index_sequence_for<Arguments...>{}); };
  for (unsigned b = 0; b < blocks; ++b) {
    blockIdx = {b, 0, 0};
    block.run(threads, thread);
  }
}

// What a lane brings to a shuffle: its value and the lane that it reads from.
template <class T>
struct Shuffled {
  T value;
  int source;
};

}  // namespace lrm::shim

template <class T>
T __shfl_sync(unsigned, T value, int source) {
  using Given = lrm::shim::Shuffled<T>;
  const Given given{value, source};
  T taken{};
  lrm::shim::block.together(&given, &taken, [](const void* const* all, void* const* results) {
    for (unsigned lane = 0; lane < lrm::shim::lanes; ++lane) {
      const int from = static_cast<const Given*>(all[lane])->source;
      *static_cast<T*>(results[lane]) =
          static_cast<const Given*>(all[static_cast<unsigned>(from) % lrm::shim::lanes])->value;
    }
  });
  return taken;
}

inline unsigned __ballot_sync(unsigned, int predicate) {
  unsigned taken = 0;
  lrm::shim::block.together(&predicate, &taken, [](const void* const* all, void* const* results) {
    unsigned bits = 0;
    for (unsigned lane = 0; lane < lrm::shim::lanes; ++lane) {
      bits |= static_cast<unsigned>(*static_cast<const int*>(all[lane]) != 0) << lane;
    }
    for (unsigned lane = 0; lane < lrm::shim::lanes; ++lane) {
      *static_cast<unsigned*>(results[lane]) = bits;
    }
  });
  return taken;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

template <class T>
T atomicAdd(T* address, T value) {
  const T old = *address;
  *address += value;
  return old;
}

template <class T>
T atomicOr(T* address, T value) {
  const T old = *address;
  *address |= value;
  return old;
}

template <class T>
T atomicExch(T* address, T value) {
  const T old = *address;
  *address = value;
  return old;
}

// Makes a kernel callable from outside: launch_NAME(blocks, threads, arguments).
#define LRM_EXPORT_KERNEL(name)                                                        \
  extern "C" void launch_##name(unsigned blocks, unsigned threads, void** arguments) { \
    lrm::shim::launch(name, blocks, threads, arguments);                               \
  }
