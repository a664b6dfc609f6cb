#include "network_arrays.h"

#include "network_pieces.h"

namespace lrm {
namespace {

// Calls line(first, second, at) for each line along the last dimension; `at` counts elements.
template <class Line>
void for_lines(const std::vector<Dimension>& dimensions, std::int64_t begin, std::int64_t end,
               const Line& line) {
  const std::size_t outer = dimensions.size() - 1;
  for (std::int64_t number = begin; number < end; ++number) {
    std::int64_t rest = number, first = 0, second = 0;
    for (std::size_t i = outer; i-- > 0;) {
      const Dimension& d = dimensions[i];
      first += rest % d.size * d.first_stride;
      second += rest % d.size * d.second_stride;
      rest /= d.size;
    }
    line(first, second, number * dimensions[outer].size);
  }
}

std::int64_t lines_of(const std::vector<Dimension>& dimensions) {
  std::int64_t lines = 1;
  for (std::size_t i = 0; i + 1 < dimensions.size(); ++i) lines *= dimensions[i].size;
  return lines;
}

template <class Line>
void all_lines(const std::vector<Dimension>& dimensions, Team& team, const Line& line) {
  const std::int64_t size = std::max<std::int64_t>(values_at_once / dimensions.back().size, 1);
  in_pieces(team, lines_of(dimensions), size, [&](std::int64_t first, std::int64_t count, int) {
    for_lines(dimensions, first, first + count, line);
  });
}

template <class Apply>
void apply_binary(const BinaryStep& step, const NetworkMemory& memory, const Apply& apply) {
  const float *first = memory.at(step.first), *second = memory.at(step.second);
  float* out = memory.arena + step.out;
  const Dimension last = step.dimensions.back();
  all_lines(step.dimensions, memory.team,
            [=](std::int64_t a_at, std::int64_t b_at, std::int64_t at) {
              const float *a = first + a_at, *b = second + b_at;
              float* to = out + at;
              if (last.first_stride == 1 && last.second_stride == 1) {
                for (std::int64_t i = 0; i < last.size; ++i) to[i] = apply(a[i], b[i]);
              } else {
                for (std::int64_t i = 0; i < last.size; ++i) {
                  to[i] = apply(a[i * last.first_stride], b[i * last.second_stride]);
                }
              }
            });
}

}  // namespace

void run(const CopyStep& step, const NetworkMemory& memory) {
  const float* in = memory.at(step.in);
  float* out = memory.arena + step.out;
  const Dimension last = step.dimensions.back();
  all_lines(step.dimensions, memory.team,
            [=](std::int64_t first, std::int64_t second, std::int64_t) {
              const float* from = in + first;
              float* to = out + second;
              if (last.first_stride == 1 && last.second_stride == 1) {
                std::copy_n(from, last.size, to);
              } else {
                for (std::int64_t i = 0; i < last.size; ++i) {
                  to[i * last.second_stride] = from[i * last.first_stride];
                }
              }
            });
}

void run(const BinaryStep& step, const NetworkMemory& memory) {
  switch (step.kind) {
    case binary_add:
      return apply_binary(step, memory, [](float a, float b) { return a + b; });
    case binary_subtract:
      return apply_binary(step, memory, [](float a, float b) { return a - b; });
    case binary_multiply:
      return apply_binary(step, memory, [](float a, float b) { return a * b; });
    default:
      return apply_binary(step, memory, [](float a, float b) { return a / b; });
  }
}

}  // namespace lrm
