#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <system_error>

#if defined(__linux__)
#include <sched.h>
#endif

namespace lrm {

class Team::Loop {
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

Team::Team(int thread_count) : thread_count_(std::max(thread_count, 1)) {}

Team::~Team() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    over_ = true;
  }
  begin_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Team::run(std::size_t task_count, const std::function<void(std::size_t, int)>& body,
               const Progress& progress) {
  if (task_count == 0) return;
  Loop loop(task_count, body);
  const std::size_t others = std::min(static_cast<std::size_t>(thread_count_), task_count) - 1;
  start(others);
  open(&loop);
  for (std::size_t i = 0; i < others; ++i) begin_.notify_one();
  loop.run_caller(progress);
  close();
  loop.finish(progress);
}

// A machine out of threads makes a call slower, not fail.
void Team::start(std::size_t count) {
  try {
    threads_.reserve(count);
    while (threads_.size() < count) {
      const int worker = static_cast<int>(threads_.size()) + 1;
      threads_.emplace_back([this, worker] { work(worker); });
    }
  } catch (const std::system_error&) {
  }
}

void Team::open(Loop* loop) {
  const std::lock_guard<std::mutex> lock(mutex_);
  loop_ = loop;
  ++number_;
}

// Nobody enters the loop any more, and who is inside leaves.
void Team::close() {
  std::unique_lock<std::mutex> lock(mutex_);
  loop_ = nullptr;
  end_.wait(lock, [this] { return inside_ == 0; });
}

void Team::work(int worker) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  std::uint64_t last = 0;
  while (true) {
    begin_.wait(lock, [&] { return over_ || (loop_ != nullptr && number_ != last); });
    if (over_) return;
    last = number_;
    Loop& loop = *loop_;
    ++inside_;
    lock.unlock();
    loop.run_worker(worker);
    lock.lock();
    if (--inside_ == 0) end_.notify_one();
  }
}

void parallel_for(int thread_count, std::size_t task_count,
                  const std::function<void(std::size_t, int)>& body, const Progress& progress) {
  Team(thread_count).run(task_count, body, progress);
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
