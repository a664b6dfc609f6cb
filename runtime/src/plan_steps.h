// Reads the steps of a plan, each checked against the plan's sizes.
#pragma once

#include "network_plan.h"
#include "plan_words.h"

namespace lrm {

// plan: its header. Every float that the step reads or writes is within the arena or the constants.
PlanStep read_plan_step(const NetworkPlan& plan, std::int64_t opcode, Words& words);

}  // namespace lrm
