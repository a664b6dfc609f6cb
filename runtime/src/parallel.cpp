#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace lrm {
namespace {

class Loop {
 public:
  Loop(std::size_t task_count, const std::function<void(std::size_t, int)>& body)
      : task_count_(task_count), body_(body) {}

  void run_worker(int worker) noexcept {
    std::size_t task;
    while (take(task)) run_task(task, worker);
  }

  void run_caller(const Progress& progress) noexcept {
    std::size_t task;
    while (take(task)) {
      run_task(task, 0);
      if (!stop_) attempt([&] { progress.report(fraction()); });
    }
  }

  // Also when the other threads took every task the caller hears of the end, and may cancel.
  void finish(const Progress& progress) const {
    if (error_) std::rethrow_exception(error_);
    progress.report(1.0f);
  }

 private:
  bool take(std::size_t& task) noexcept {
    if (stop_) return false;
    task = next_.fetch_add(1);
    return task < task_count_;
  }

  void run_task(std::size_t task, int worker) noexcept {
    attempt([&] { body_(task, worker); });
    done_.fetch_add(1);
  }

  float fraction() const { return static_cast<float>(done_) / static_cast<float>(task_count_); }

  template <class Step>
  void attempt(const Step& step) noexcept {
    try {
      step();
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
      stop_ = true;
    }
  }

  const std::size_t task_count_;
  const std::function<void(std::size_t, int)>& body_;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::size_t> done_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::exception_ptr error_;
};

// As many as the system grants: a machine out of threads makes a call slower, not fail.
std::vector<std::thread> start_workers(Loop& loop, int count) {
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(count));
  try {
    for (int i = 0; i < count; ++i) threads.emplace_back([&loop, i] { loop.run_worker(i + 1); });
  } catch (const std::system_error&) {
  }
  return threads;
}

}  // namespace

void parallel_for(int thread_count, std::size_t task_count,
                  const std::function<void(std::size_t, int)>& body, const Progress& progress) {
  if (task_count == 0) return;
  const auto useful = std::min(static_cast<std::size_t>(std::max(thread_count, 1)), task_count);
  Loop loop(task_count, body);
  std::vector<std::thread> threads = start_workers(loop, static_cast<int>(useful) - 1);
  loop.run_caller(progress);
  for (std::thread& thread : threads) thread.join();
  loop.finish(progress);
}

int available_threads() {
#if defined(__linux__)
  // Respects taskset and container CPU sets, which hardware_concurrency() may not.
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(CPU_COUNT(&set), 1);
#endif
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

}  // namespace lrm
