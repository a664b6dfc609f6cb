// A file's bytes, read as they are touched.
#pragma once

#include <cstddef>

namespace lrm {

class MappedFile {
 public:
  // path in UTF-8. Throws LRM_ERROR_INVALID_ARGUMENT if it cannot be opened.
  explicit MappedFile(const char* path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const unsigned char* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  const unsigned char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lrm
