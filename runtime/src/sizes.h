// Sizes of arrays from the int sizes of lrm.h.
#pragma once

#include <cstddef>

namespace lrm {

inline std::size_t as_size(int value) { return static_cast<std::size_t>(value); }

inline int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace lrm
