// Whether what a step reads and writes is within the memory of its plan.
#pragma once

#include "network_plan.h"
#include "plan_words.h"

namespace lrm {

// Sizes up to this multiply without overflow in 64 bits where two of them meet.
constexpr std::int64_t largest_size = std::int64_t{1} << 31;

// Each refuses the file if it is not.
class PlanBounds {
 public:
  explicit PlanBounds(const NetworkPlan& plan) : plan_(plan) {}

  void in_arena(std::int64_t first, std::int64_t last) const {
    expect(first >= 0 && last < plan_.arena_floats, "expected values within the arena",
           first < 0 ? first : last);
  }
  void in_constants(std::int64_t at, std::int64_t count) const {
    expect(at >= 0 && count <= constants() && at <= constants() - count,
           "expected constants within the file", at);
  }
  // `rows` rows of `width` floats.
  void rows_in_arena(std::int64_t at, std::int64_t stride, std::int64_t rows,
                     std::int64_t width) const {
    expect(at >= 0 && at < most_floats, "expected values within the arena", at);
    expect(stride >= 0 && stride < largest_size, "expected a stride below 2^31", stride);
    expect(rows == 1 || stride >= width, "expected rows that do not overlap", stride);
    in_arena(at, at + (rows - 1) * stride + width - 1);
  }
  void matrix_in_file(const LinearStep& step) const {
    const std::int64_t size = std::int64_t{step.outputs} * step.inputs;
    expect(step.matrix % 64 == 0, "expected a matrix at a multiple of 64 bytes", step.matrix);
    expect(size <= (plan_.weight_bytes - step.matrix) / (step.bfloat16 ? 2 : 4),
           "expected a matrix within the file", step.matrix);
  }
  void pictures_in_arena(std::int64_t at, std::int64_t height, std::int64_t width,
                         std::int64_t channels) const {
    expect(height * width <= most_floats / channels, "expected values within the arena", height);
    rows_in_arena(at, 0, 1, height * width * channels);
  }
  void reach(const Operand& value, const std::vector<Dimension>& dimensions,
             std::int64_t Dimension::* stride) const {
    const Span span = span_of(value.at, dimensions, stride);
    if (value.constant) {
      in_constants(span.first, span.last - span.first + 1);
    } else {
      in_arena(span.first, span.last);
    }
  }

  // How many, all of which are written: no more than the arena has.
  std::int64_t elements(const std::vector<Dimension>& dimensions) const {
    std::int64_t count = 1;
    for (const Dimension& d : dimensions) {
      expect(d.size <= plan_.arena_floats / count, "expected values within the arena", d.size);
      count *= d.size;
    }
    return count;
  }

 private:
  std::int64_t constants() const { return plan_.weight_bytes / 4; }

  // What the elements reach, of which the first in order is at `at`.
  struct Span {
    std::int64_t first, last;
  };
  static Span span_of(std::int64_t at, const std::vector<Dimension>& dimensions,
                      std::int64_t Dimension::* stride) {
    Span span = {at, at};
    for (const Dimension& d : dimensions) {
      const std::int64_t reach = (d.size - 1) * (d.*stride);
      (reach < 0 ? span.first : span.last) += reach;
      expect(span.first >= 0 && span.last <= most_floats, "expected values within the arena",
             reach);
    }
    return span;
  }

  const NetworkPlan& plan_;
};

}  // namespace lrm
