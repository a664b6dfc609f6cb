// A parallel loop over tasks with progress and cancellation.
#pragma once

#include <cstddef>
#include <functional>

#include "progress.h"

namespace lrm {

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
