// CUDA's words for a C++ compiler, so that the kernels run on a CPU: for tests of their arithmetic
// and indexing where there is no GPU. Slow, single-threaded, for Linux.
//
// A launch runs its threads one after the other. In a cooperative launch each thread of a block has
// a stack of its own and __syncthreads() hands over to the next one, so that blocks whose threads
// exchange values through shared memory run as written.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __constant__ static
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)

struct alignas(16) float4 {
  float x, y, z, w;
};
struct uint3 {
  unsigned x, y, z;
};
struct dim3 : uint3 {};

inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;

namespace lrm::shim {

class Block {
 public:
  template <class Run>
  void run(unsigned threads, const Run& thread) {
    fibers_.resize(threads);
    for (unsigned i = 0; i < threads; ++i) start(i, thread);
    for (bool any = true; any;) {
      any = false;
      for (unsigned i = 0; i < threads; ++i) {
        if (fibers_[i].done) continue;
        any = true;
        current_ = &fibers_[i];
        threadIdx = {i, 0, 0};
        swapcontext(&scheduler_, &current_->context);
      }
    }
    current_ = nullptr;
  }

  // Lets all other threads of the block come as far as this one.
  void barrier() {
    if (current_ == nullptr) {
      std::fputs("__syncthreads() in a launch that is not cooperative\n", stderr);
      std::abort();
    }
    const uint3 mine = threadIdx;
    swapcontext(&current_->context, &scheduler_);
    threadIdx = mine;
  }

 private:
  static constexpr std::size_t stack_bytes = 256 << 10;

  struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool done;
  };

  template <class Run>
  struct Start {
    Block* block;
    Fiber* fiber;
    const Run* thread;
  };

  template <class Run>
  static void enter(unsigned low, unsigned high) {
    const auto address = static_cast<std::uintptr_t>(high) << 32 | low;
    const Start<Run> start = *reinterpret_cast<const Start<Run>*>(address);
    swapcontext(&start.fiber->context, &start.block->scheduler_);
    (*start.thread)();
    start.fiber->done = true;
  }

  template <class Run>
  void start(unsigned i, const Run& thread) {
    Fiber& fiber = fibers_[i];
    if (!fiber.stack) fiber.stack = std::make_unique<char[]>(stack_bytes);
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = stack_bytes;
    fiber.context.uc_link = &scheduler_;
    const Start<Run> start{this, &fiber, &thread};
    const auto address = reinterpret_cast<std::uintptr_t>(&start);
    makecontext(&fiber.context, reinterpret_cast<void (*)()>(&enter<Run>), 2,
                static_cast<unsigned>(address), static_cast<unsigned>(address >> 32));
    swapcontext(&scheduler_, &fiber.context);  // reads `start`, comes back at once
  }

  ucontext_t scheduler_;
  std::vector<Fiber> fibers_;
  Fiber* current_ = nullptr;
};

inline Block block;

template <class... Arguments, std::size_t... kIndex>
void call(void (*kernel)(Arguments...), void** arguments, std::index_sequence<kIndex...>) {
  kernel(*static_cast<Arguments*>(arguments[kIndex])...);
}

// Arguments as cuLaunchKernel takes them. One-dimensional grids and blocks.
template <class... Arguments>
void launch(void (*kernel)(Arguments...), unsigned blocks, unsigned threads, bool cooperative,
            void** arguments) {
  gridDim = {{blocks, 1, 1}};
  blockDim = {{threads, 1, 1}};
  const auto thread = [&] { call(kernel, arguments, std::index_sequence_for<Arguments...>{}); };
  for (unsigned b = 0; b < blocks; ++b) {
    blockIdx = {b, 0, 0};
    if (cooperative) {
      block.run(threads, thread);
      continue;
    }
    for (unsigned t = 0; t < threads; ++t) {
      threadIdx = {t, 0, 0};
      thread();
    }
  }
}

}  // namespace lrm::shim

inline void __syncthreads() { lrm::shim::block.barrier(); }

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

// Makes a kernel callable from outside: launch_NAME(blocks, threads, cooperative, arguments).
#define LRM_EXPORT_KERNEL(name)                                                     \
  extern "C" void launch_##name(unsigned blocks, unsigned threads, int cooperative, \
                                void** arguments) {                                 \
    lrm::shim::launch(name, blocks, threads, cooperative != 0, arguments);          \
  }
