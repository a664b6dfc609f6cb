// The words of a .lrmnet file, and how it is refused.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "error.h"

namespace lrm {

constexpr std::int64_t most_floats = std::int64_t{1} << 40;  // of a value, and offsets

[[noreturn]] inline void refuse(const char* what, std::int64_t got) {
  throw Error(
      LRM_ERROR_INVALID_ARGUMENT,
      "no sound network: %s, got %lld; the file is damaged or of another version: build the "
      "engine again",
      what, static_cast<long long>(got));
}

inline void expect(bool good, const char* what, std::int64_t got) {
  if (!good) refuse(what, got);
}

// The words of one record, read in order.
class Words {
 public:
  Words(const unsigned char* data, std::int64_t count) : data_(data), count_(count) {}

  std::int64_t take() {
    expect(at_ < count_, "expected more words in a step", count_);
    std::int64_t word;
    std::memcpy(&word, data_ + 8 * at_++, sizeof word);
    return word;
  }
  std::int64_t between(std::int64_t low, std::int64_t high, const char* what) {
    const std::int64_t word = take();
    expect(word >= low && word <= high, what, word);
    return word;
  }
  int size(const char* what) {
    return static_cast<int>(between(1, std::numeric_limits<int>::max() - 64, what));
  }
  std::int64_t offset() { return between(0, most_floats, "expected an offset of a value"); }
  // A real number in [low, high], which float32 must hold.
  float real(double low, double high, const char* what) {
    const std::int64_t word = take();
    double value;
    std::memcpy(&value, &word, sizeof value);
    expect(value >= low && value <= high, what, word);  // not if it is NaN
    return static_cast<float>(value);
  }
  void end() const { expect(at_ == count_, "expected fewer words in a step", count_); }

 private:
  const unsigned char* data_;
  const std::int64_t count_;
  std::int64_t at_ = 0;
};

}  // namespace lrm
