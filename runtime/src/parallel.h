// A parallel loop over tasks with progress and cancellation.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "progress.h"

namespace lrm {

// Threads for a number of loops, one after the other. To start a thread takes longer than to wake
// one: 30 us each, on the thread that calls, which many short loops would notice.
class Team {
 public:
  explicit Team(int thread_count);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int thread_count() const { return thread_count_; }

  // As parallel_for. By one thread at a time, and not by a body.
  void run(std::size_t task_count, const std::function<void(std::size_t task, int worker)>& body,
           const Progress& progress = {});

 private:
  class Loop;
  void start(std::size_t count);
  void work(int worker) noexcept;
  void open(Loop* loop);
  void close();

  const int thread_count_;
  std::vector<std::thread> threads_;  // as many as a loop had use for, and the system granted
  std::mutex mutex_;                  // of all below
  std::condition_variable begin_, end_;
  Loop* loop_ = nullptr;
  std::uint64_t number_ = 0;  // of loops so far: a thread enters each once
  int inside_ = 0;            // threads in the loop
  bool over_ = false;
};

// Calls body(task, worker) once for each task in [0, task_count), in any order, on at most
// thread_count threads, the caller's included; `worker` is in [0, thread_count) and no two calls
// with the same worker overlap (so it may index scratch memory).
//
// Progress is reported on the calling thread only, between its own tasks: keep tasks well below
// 0.1 s. If a task or the progress callback throws, tasks not yet begun are dropped and the first
// exception is rethrown to the caller after every thread has ended.
void parallel_for(int thread_count, std::size_t task_count,
                  const std::function<void(std::size_t task, int worker)>& body,
                  const Progress& progress = {});

// Cores this process may use, at least 1.
int available_threads();

}  // namespace lrm
