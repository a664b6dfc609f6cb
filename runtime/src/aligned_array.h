// An array for SIMD code: aligned to a cache line, zeroed.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace lrm {

template <class T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(std::size_t count)
      : data_(static_cast<T*>(::operator new[](count * sizeof(T), cache_line))) {
    std::uninitialized_fill_n(data_.get(), count, T{});
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t cache_line{64};

  struct Free {
    void operator()(T* p) const { ::operator delete[](p, cache_line); }
  };
  std::unique_ptr<T[], Free> data_;
};

using AlignedFloats = AlignedArray<float>;

}  // namespace lrm
