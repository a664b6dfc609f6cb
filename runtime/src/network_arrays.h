// The steps of a plan that move and join elements along strides.
#pragma once

#include "network_steps.h"

namespace lrm {

void run(const CopyStep& step, const NetworkMemory& memory);
void run(const BinaryStep& step, const NetworkMemory& memory);

}  // namespace lrm
