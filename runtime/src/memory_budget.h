// The working memory that a call may take.
#pragma once

#include <cstdint>

#include "error.h"

namespace lrm {

class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t limit_bytes) : limit_(limit_bytes) {}  // 0: no limit

  // Replaces a charge of `before` bytes by one of `after`. Throws LRM_ERROR_OUT_OF_MEMORY.
  void replace(std::uint64_t before, std::uint64_t after) {
    const std::uint64_t wanted = used_ - before + after;
    if (limit_ != 0 && after > before && wanted > limit_) {
      throw Error(LRM_ERROR_OUT_OF_MEMORY,
                  "max_bytes: expected to stay within %llu bytes, needs at least %llu; raise "
                  "max_bytes or lower the resolution",
                  static_cast<unsigned long long>(limit_), static_cast<unsigned long long>(wanted));
    }
    used_ = wanted;
  }

 private:
  std::uint64_t limit_;
  std::uint64_t used_ = 0;
};

// What one holder takes of a budget; given back at the end of its scope.
class MemoryCharge {
 public:
  explicit MemoryCharge(MemoryBudget& budget) : budget_(&budget) {}
  MemoryCharge(MemoryBudget& budget, std::uint64_t bytes) : budget_(&budget) { set(bytes); }
  MemoryCharge(const MemoryCharge&) = delete;
  MemoryCharge& operator=(const MemoryCharge&) = delete;
  ~MemoryCharge() { budget_->replace(bytes_, 0); }

  // Call before the memory is taken.
  void set(std::uint64_t bytes) {
    budget_->replace(bytes_, bytes);
    bytes_ = bytes;
  }

 private:
  MemoryBudget* budget_;
  std::uint64_t bytes_ = 0;
};

}  // namespace lrm
