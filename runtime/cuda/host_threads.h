// The threads of a block on one CPU thread: each has a stack of its own and hands over to the next
// one where it must wait for others of its warp.
//
// A collective (shuffle, ballot, matrix product) ends when all 32 lanes have come to it: the last
// one does the work of all. Lanes that meet at different ones, or wait for a lane that has left,
// end the program with a text: on a GPU that is undefined.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 : uint3 {};

inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;

namespace lrm::shim {

constexpr unsigned lanes = 32;

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "host_threads.h: %s\n", what);
  std::abort();
}

// A place in the program to go on at. swapcontext makes two system calls; the compiler's own jumps
// make none, and between stacks they are all that is needed.
class Place {
 public:
  // Stays here until somebody goes on at this place, after going to `next`.
  __attribute__((noinline)) void wait_and_go(Place* next) {
#if defined(__x86_64__)
    if (__builtin_setjmp(jump_) != 0) return;
    jumps_ = true;
    next->go();
#else
    swapcontext(&context_, &next->context_);
#endif
  }

  void start(void (*function)(), char* stack, std::size_t bytes) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack;
    context_.uc_stack.ss_size = bytes;
    context_.uc_link = nullptr;
    makecontext(&context_, function, 0);
  }

 private:
  __attribute__((noinline)) void go() {
    if (jumps_) __builtin_longjmp(jump_, 1);
    setcontext(&context_);
  }

  void* jump_[5] = {};
  bool jumps_ = false;
  ucontext_t context_ = {};
};

// What the lanes of a warp have brought to a collective.
struct Warp {
  const void* given[lanes];
  void* taken[lanes];
  const void* collective;  // which one
  unsigned arrived = 0, done = 0;
};

class Block {
 public:
  template <class Run>
  void run(unsigned threads, const Run& thread) {
    call_ = [](const void* run) { (*static_cast<const Run*>(run))(); };
    thread_ = &thread;
    warps_.assign((threads + lanes - 1) / lanes, Warp{});
    threads_ = threads;
    while (fibers_.size() < threads) add_fiber();
    for (unsigned i = 0; i < threads; ++i) fibers_[i]->done = false;
    for (unsigned left = threads; left > 0;) {
      progress_ = false;
      for (unsigned i = 0; i < threads; ++i) {
        if (fibers_[i]->done) continue;
        resume(i);
        if (fibers_[i]->done) --left, progress_ = true;
      }
      if (!progress_) fail("a warp waits for a lane that has left");
    }
  }

  // All lanes of the calling thread's warp: act(given [32], taken [32]), once, when all are here.
  template <class Act>
  void together(const void* given, void* taken, const Act& act) {
    static const char identity = 0;  // one for each Act
    Warp& warp = warps_[threadIdx.x / lanes];
    if (threads_ % lanes != 0) fail("a collective in a block of parts of warps");
    if (warp.arrived > 0 && warp.collective != &identity) fail("lanes meet at two collectives");
    const unsigned lane = threadIdx.x % lanes, before = warp.done;
    warp.collective = &identity;
    warp.given[lane] = given;
    warp.taken[lane] = taken;
    if (++warp.arrived == lanes) {
      act(warp.given, warp.taken);
      warp.arrived = 0;
      ++warp.done;
      progress_ = true;
    }
    while (warp.done == before) pause();
  }

 private:
  static constexpr std::size_t stack_bytes = 256 << 10;

  struct Fiber {
    Place place;
    std::unique_ptr<char[]> stack;
    bool done;
  };

  void add_fiber() {
    fibers_.push_back(std::make_unique<Fiber>());
    Fiber& fiber = *fibers_.back();
    fiber.stack.reset(new char[stack_bytes]);  // not touched before it is used
    fiber.place.start(&Block::live, fiber.stack.get(), stack_bytes);
  }

  void resume(unsigned i) {
    current_ = fibers_[i].get();
    threadIdx = {i, 0, 0};
    scheduler_.wait_and_go(&current_->place);
  }

  void pause() { current_->place.wait_and_go(&scheduler_); }

  // A fiber runs one thread after the other, of this block and later ones.
  static void live();

  Place scheduler_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Fiber* current_ = nullptr;
  std::vector<Warp> warps_;
  unsigned threads_ = 0;
  bool progress_ = false;
  void (*call_)(const void*) = nullptr;
  const void* thread_ = nullptr;
};

inline thread_local Block block;

inline void Block::live() {
  for (;;) {
    block.call_(block.thread_);
    block.current_->done = true;
    block.pause();
  }
}

}  // namespace lrm::shim
