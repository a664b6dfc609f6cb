// Products of a plan over all threads: what is split between them, rows or columns.
#pragma once

#include "network_steps.h"

namespace lrm {

void run(const LinearStep& step, const NetworkMemory& memory);

// What that needs of NetworkMemory.
NetworkBytes bytes_needed(const LinearStep& step, int threads);

}  // namespace lrm
