// The border between C++ and C: no exception passes, every failure leaves a status and a text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>

#include "error.h"
#include "lrm.h"

namespace lrm {

// Keeps the text for lrm_last_error() on this thread and hands the status back.
lrm_status remember(lrm_status status, const char* text) noexcept;

template <class Body>
lrm_status guarded(const Body& body) noexcept {
  try {
    body();
    return LRM_OK;
  } catch (const Error& error) {
    return remember(error.status(), error.what());
  } catch (const std::bad_alloc&) {
    return remember(LRM_ERROR_OUT_OF_MEMORY,
                    "out of memory: lower the resolution or the picture size, or free memory");
  } catch (const std::length_error&) {
    return remember(LRM_ERROR_OUT_OF_MEMORY, "out of memory: an array would exceed address space");
  } catch (const std::exception& error) {
    return remember(LRM_ERROR_INTERNAL, error.what());
  } catch (...) {
    return remember(LRM_ERROR_INTERNAL, "an exception of unknown type");
  }
}

inline void require_pointer(const void* pointer, const char* name) {
  if (pointer == nullptr) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT, "%s: expected a pointer, got NULL", name);
  }
}

// oldest: the size that the struct had when it first shipped; newest: the one that it has now.
inline void require_struct_size(std::size_t size, std::size_t oldest, std::size_t newest,
                                const char* name) {
  if (size < oldest || size > newest) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT,
                "%s.struct_size: expected %zu to %zu, got %zu; fill the struct with its init "
                "function, and do not mix a newer lrm.h with an older library",
                name, oldest, newest, size);
  }
}

// A complete copy of the caller's options: `defaults` overlaid with the bytes that the caller's
// version of the struct has. oldest_size is the size that the struct had when it first shipped.
template <class Options>
Options complete_options(const Options* given, const Options& defaults, std::size_t oldest_size,
                         const char* name) {
  require_pointer(given, name);
  require_struct_size(given->struct_size, oldest_size, sizeof(Options), name);
  Options complete = defaults;
  std::memcpy(&complete, given, given->struct_size);
  complete.struct_size = sizeof(Options);
  return complete;
}

inline void require_int(std::int64_t value, std::int64_t low, std::int64_t high, const char* name) {
  if (value < low || value > high) {
    throw Error(LRM_ERROR_INVALID_ARGUMENT, "%s: expected %lld..%lld, got %lld", name,
                static_cast<long long>(low), static_cast<long long>(high),
                static_cast<long long>(value));
  }
}

// Throws LRM_ERROR_NOT_FINITE with the first bad index.
void require_finite(const float* values, std::size_t count, const char* name);

}  // namespace lrm
