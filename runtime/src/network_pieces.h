// A step's work in pieces for threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "parallel.h"

namespace lrm {

// Of values that cost little each.
constexpr std::int64_t values_at_once = 1 << 16;
constexpr std::int64_t rows_at_once = 64;  // of about a thousand of them

inline std::int64_t ceil_div(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

// body(first, count, worker) for pieces of [0, total).
template <class Body>
void in_pieces(Team& team, std::int64_t total, std::int64_t size, const Body& body) {
  team.run(static_cast<std::size_t>(ceil_div(total, size)), [&](std::size_t task, int worker) {
    const std::int64_t first = static_cast<std::int64_t>(task) * size;
    body(first, std::min(size, total - first), worker);
  });
}

}  // namespace lrm
