// The one exception type of the library; api_guard.h turns it into a status and a text.
#pragma once

#include <exception>

#include "lrm.h"

namespace lrm {

class Error : public std::exception {
 public:
  // printf-style. Keeps the text in place so that reporting a failed allocation needs none.
  __attribute__((format(printf, 3, 4))) Error(lrm_status status, const char* format, ...) noexcept;

  lrm_status status() const noexcept { return status_; }
  const char* what() const noexcept override { return text_; }

 private:
  lrm_status status_;
  char text_[512];
};

}  // namespace lrm
