// The steps of a plan, each over all threads.
#pragma once

#include "network_kernel.h"
#include "network_plan.h"
#include "parallel.h"

namespace lrm {

// The memory that a run works in. `packed` is shared by the threads of a step; each has a scratch.
struct NetworkMemory {
  Team& team;
  float* arena;
  const unsigned char* constants;
  unsigned char* packed;
  unsigned char* scratch;
  long long scratch_bytes;  // of one thread

  const float* constant(std::int64_t at) const {
    return at < 0 ? nullptr : reinterpret_cast<const float*>(constants) + at;
  }
  const float* at(const Operand& value) const {
    return value.constant ? constant(value.at) : arena + value.at;
  }
};

struct NetworkBytes {
  long long packed = 0, scratch = 0;  // shared, and of one thread
};

// The best for the instruction set in use.
const NetworkKernel& network_kernel_in_use();

// What a step needs of NetworkMemory.
NetworkBytes bytes_of(const PlanStep& step, int threads);

void run_step(const PlanStep& step, const NetworkMemory& memory);

}  // namespace lrm
