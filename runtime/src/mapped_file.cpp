#include "mapped_file.h"

#include <cerrno>
#include <cstring>

#include "error.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <string>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace lrm {
namespace {

[[noreturn]] void fail(const char* path, const char* why) {
  throw Error(LRM_ERROR_INVALID_ARGUMENT, "%.300s: expected a file that can be read (%s)", path,
              why);
}

}  // namespace

#if defined(_WIN32)

MappedFile::MappedFile(const char* path) {
  const int length = MultiByteToWideChar(CP_UTF8, 0, path, -1, nullptr, 0);
  std::wstring wide(static_cast<std::size_t>(length), L'\0');
  MultiByteToWideChar(CP_UTF8, 0, path, -1, wide.data(), length);
  const HANDLE file = CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr,
                                  OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) fail(path, "it cannot be opened");
  LARGE_INTEGER size = {};
  const bool sized = GetFileSizeEx(file, &size) && size.QuadPart > 0;
  const HANDLE mapping =
      sized ? CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr) : nullptr;
  CloseHandle(file);
  if (mapping == nullptr) fail(path, "empty, or it cannot be mapped");
  data_ = static_cast<const unsigned char*>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0));
  CloseHandle(mapping);
  if (data_ == nullptr) fail(path, "it cannot be mapped");
  size_ = static_cast<std::size_t>(size.QuadPart);
}

MappedFile::~MappedFile() { UnmapViewOfFile(data_); }

#else

MappedFile::MappedFile(const char* path) {
  // Not blocking: of a pipe, open() would wait for somebody to write.
  const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) fail(path, std::strerror(errno));
  struct stat status = {};
  void* bytes = MAP_FAILED;
  errno = 0;
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    size_ = static_cast<std::size_t>(status.st_size);
    bytes = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
  }
  const int reason = errno;
  close(file);
  if (bytes == MAP_FAILED)
    fail(path, reason == 0 ? "empty, or no regular file" : std::strerror(reason));
  data_ = static_cast<const unsigned char*>(bytes);
}

MappedFile::~MappedFile() { munmap(const_cast<unsigned char*>(data_), size_); }

#endif

}  // namespace lrm
