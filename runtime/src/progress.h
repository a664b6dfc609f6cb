// Progress of a long call, reported through the caller's callback, which may cancel.
#pragma once

#include "error.h"
#include "lrm.h"

namespace lrm {

// A callback together with the part of [0, 1] that the current stage covers. Copies are cheap.
class Progress {
 public:
  Progress() = default;
  Progress(lrm_progress_fn callback, void* user_data)
      : callback_(callback), user_data_(user_data) {}

  // The progress of a stage that covers [begin, end] of this one.
  Progress part(float begin, float end) const {
    Progress stage = *this;
    stage.begin_ = begin_ + (end_ - begin_) * begin;
    stage.end_ = begin_ + (end_ - begin_) * end;
    return stage;
  }

  // Only on the thread that made the call. Throws LRM_ERROR_CANCELLED if the callback says so.
  void report(float fraction) const {
    if (callback_ != nullptr && callback_(user_data_, begin_ + (end_ - begin_) * fraction) != 0) {
      throw Error(LRM_ERROR_CANCELLED, "cancelled by the progress callback");
    }
  }

 private:
  lrm_progress_fn callback_ = nullptr;
  void* user_data_ = nullptr;
  float begin_ = 0.0f;
  float end_ = 1.0f;
};

}  // namespace lrm
