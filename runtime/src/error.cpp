#include "error.h"

#include <cstdarg>
#include <cstdio>

namespace lrm {

Error::Error(lrm_status status, const char* format, ...) noexcept : status_(status) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text_, sizeof text_, format, arguments);
  va_end(arguments);
}

}  // namespace lrm
