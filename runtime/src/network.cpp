#include "network.h"

#include <algorithm>
#include <memory>
#include <new>

#include "parallel.h"

namespace lrm {
namespace {

// Memory that is written before it is read: not zeroed, so that pages come as they are used.
class Block {
 public:
  explicit Block(long long bytes)
      : bytes_(static_cast<unsigned char*>(
            ::operator new[](static_cast<std::size_t>(std::max(bytes, 64LL)), alignment))) {}
  unsigned char* data() const { return bytes_.get(); }

 private:
  static constexpr std::align_val_t alignment{64};
  struct Free {
    void operator()(unsigned char* p) const { ::operator delete[](p, alignment); }
  };
  std::unique_ptr<unsigned char[], Free> bytes_;
};

long long aligned(long long bytes) { return (bytes + 63) / 64 * 64; }

NetworkBytes most_bytes(const NetworkPlan& plan, int threads) {
  NetworkBytes most;
  for (const PlanStep& step : plan.steps) {
    const NetworkBytes bytes = bytes_of(step, threads);
    most.packed = std::max(most.packed, bytes.packed);
    most.scratch = std::max(most.scratch, aligned(bytes.scratch));
  }
  return most;
}

std::int64_t count_of(const std::int64_t* sizes, int rank) {
  std::int64_t count = 1;
  for (int i = 0; i < rank; ++i) count *= sizes[i];
  return count;
}

}  // namespace

Network::Network(const char* path, int thread_count)
    : file_(path),
      plan_(read_network_plan(file_)),
      thread_count_(thread_count > 0 ? thread_count : available_threads()),
      most_(most_bytes(plan_, thread_count_)) {}

long long Network::run_bytes() const {
  return 4 * plan_.arena_floats + most_.packed + thread_count_ * most_.scratch;
}

void Network::run(const float* image, float* planes, const Progress& progress) const {
  const Block arena(4 * plan_.arena_floats), packed(most_.packed);
  const Block scratch(thread_count_ * most_.scratch);
  NetworkMemory memory = {};
  memory.arena = reinterpret_cast<float*>(arena.data());
  memory.constants = file_.data() + plan_.weights_at;
  memory.packed = packed.data();
  memory.scratch = scratch.data();
  memory.scratch_bytes = most_.scratch;
  memory.threads = thread_count_;
  std::copy_n(image, count_of(plan_.image, 3), memory.arena + plan_.image_at);
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    progress.report(static_cast<float>(i) / static_cast<float>(plan_.steps.size()));
    run_step(plan_.steps[i], memory);
  }
  progress.report(1.0f);
  std::copy_n(memory.arena + plan_.planes_at, count_of(plan_.planes, 4), planes);
}

}  // namespace lrm
