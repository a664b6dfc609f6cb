// A network from a picture to planes, run by this library on the CPU.
#pragma once

#include "mapped_file.h"
#include "network_plan.h"
#include "network_steps.h"
#include "progress.h"

namespace lrm {

class Network {
 public:
  // Throws LRM_ERROR_INVALID_ARGUMENT for a file that is no sound plan.
  Network(const char* path, int thread_count);

  const NetworkPlan& plan() const { return plan_; }

  // What a run takes beside the file.
  long long run_bytes() const;

  // image [channels, height, width], planes [3, C, H, W]. Any number of threads at once.
  void run(const float* image, float* planes, const Progress& progress) const;

 private:
  MappedFile file_;
  NetworkPlan plan_;
  int thread_count_;
  NetworkBytes most_;  // that a step needs
};

}  // namespace lrm
