// Device memory and launches, ordered on one stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include "error.h"
#include "kernels.h"
#include "lrm_cuda.h"
#if defined(__CUDACC__)
#include <cuda_runtime_api.h>
#else
#include "host_runtime.h"
#endif

namespace lrm {

// Throws LRM_ERROR_OUT_OF_MEMORY or LRM_ERROR_DEVICE with a text, unless `error` is cudaSuccess.
inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // so that the next call does not report it again
  const char *name = cudaGetErrorName(error), *text = cudaGetErrorString(error);
  switch (error) {
    case cudaErrorMemoryAllocation:
      throw Error(LRM_ERROR_OUT_OF_MEMORY,
                  "%s: no device memory; lower the resolution or the picture size, or free memory",
                  what);
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
      throw Error(LRM_ERROR_DEVICE,
                  "%s: expected an NVIDIA GPU and a driver for this CUDA version, got %s (%s); use "
                  "lrm_field_create for the CPU",
                  what, name, text);
    case cudaErrorNoKernelImageForDevice:
      throw Error(LRM_ERROR_DEVICE,
                  "%s: this liblrm has no kernels for this GPU (%s); build it with the GPU's "
                  "CMAKE_CUDA_ARCHITECTURES",
                  what, name);
    default:
      throw Error(LRM_ERROR_DEVICE, "%s: CUDA reports %s (%s), of this call or an earlier one",
                  what, name, text);
  }
}

// Makes a device the thread's current one, and the former one again at the end.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) {
    check(cudaGetDevice(&former_), "cudaGetDevice");
    check(cudaSetDevice(device), "cudaSetDevice");
  }
  ~CurrentDevice() { cudaSetDevice(former_); }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int former_ = 0;
};

template <class T>
__global__ void store(T value, T* address) {
  *address = value;
}

class Stream {
 public:
  // The caller's stream, of the current device.
  explicit Stream(cudaStream_t handle) : handle_(handle) {
    check(cudaGetDevice(&device_), "cudaGetDevice");
  }

  int device() const { return device_; }
  cudaStream_t handle() const { return handle_; }

  int multiprocessors() const {
    int count = 1;
    check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device_),
          "cudaDeviceGetAttribute");
    return count;
  }

  // What this stream is given from now on comes after what `earlier` has been given.
  void follow(const Stream& earlier) const {
    cudaEvent_t event{};
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    cudaError_t error = cudaEventRecord(event, earlier.handle_);
    if (error == cudaSuccess) error = cudaStreamWaitEvent(handle_, event, 0);
    cudaEventDestroy(event);  // once it has happened
    check(error, "cudaStreamWaitEvent");
  }

  void* allocate(std::size_t bytes) const {
    void* memory = nullptr;
    check(cudaMallocAsync(&memory, bytes, handle_), "cudaMallocAsync");
    return memory;
  }

  // From pageable memory: the driver has read it when this returns.
  void upload(const void* host, std::size_t bytes, void* to) const {
    check(cudaMemcpyAsync(to, host, bytes, cudaMemcpyHostToDevice, handle_), "cudaMemcpyAsync");
  }
  void copy(const void* from, std::size_t bytes, void* to) const {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, handle_), "cudaMemcpyAsync");
  }
  void zero(void* memory, std::size_t bytes) const {
    check(cudaMemsetAsync(memory, 0, bytes, handle_), "cudaMemsetAsync");
  }

  // Waits for all work given before.
  template <class T>
  T download(const T* from) const {
    T value{};
    check(cudaMemcpyAsync(&value, from, sizeof value, cudaMemcpyDeviceToHost, handle_),
          "cudaMemcpyAsync");
    check(cudaStreamSynchronize(handle_), "cudaStreamSynchronize");
    return value;
  }

  // One thread for each of `items`, in blocks of `threads`; nothing if there are none.
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), const char* name, std::int64_t items, int threads,
              const Arguments&... arguments) const {
    if (items <= 0) return;
    const std::int64_t blocks = (items + threads - 1) / threads;
    if (blocks > INT32_MAX) {
      throw Error(LRM_ERROR_INVALID_ARGUMENT, "%s: expected at most 2^31 - 1 blocks, got %lld",
                  name, static_cast<long long>(blocks));
    }
    std::tuple<Parameters...> values(arguments...);
    std::apply(
        [&](auto&... value) {
          void* pointers[] = {const_cast<void*>(static_cast<const void*>(&value))...};
          start(kernel, name, static_cast<unsigned>(blocks), static_cast<unsigned>(threads),
                pointers);
        },
        values);
  }

  // `value`, to device memory, as a kernel's argument: unlike a copy, this never waits.
  template <class T>
  void put(const T& value, T* to) const {
    launch(&store<T>, "store", 1, 1, value, to);
  }

 private:
  template <class... Parameters>
  void start(void (*kernel)(Parameters...), const char* name, unsigned blocks, unsigned threads,
             void** arguments) const {
#if defined(__CUDACC__)
    check(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(blocks), dim3(threads),
                           arguments, 0, handle_),
          name);
#else
    host_runtime::note(name, handle_);
    lrm_kernels::shim::launch(kernel, blocks, threads, arguments);
#endif
  }

  cudaStream_t handle_;
  int device_ = 0;
};

// Uninitialised device memory of its own; freed in the stream's order.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(const Stream& stream, std::size_t count)
      : stream_(stream.handle()),
        data_(static_cast<T*>(stream.allocate((count > 0 ? count : 1) * sizeof(T)))),
        count_(count) {}
  DeviceArray(DeviceArray&& other) noexcept { swap(other); }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceArray() {
    if (data_ != nullptr) cudaFreeAsync(data_, stream_);
  }

  static DeviceArray zeros(const Stream& stream, std::size_t count) {
    DeviceArray array(stream, count);
    stream.zero(array.data_, count * sizeof(T));
    return array;
  }

  // It is freed in the order of another stream.
  void free_on(const Stream& stream) { stream_ = stream.handle(); }

  T* data() const { return data_; }
  std::size_t count() const { return count_; }
  bool empty() const { return data_ == nullptr; }

 private:
  void swap(DeviceArray& other) noexcept {
    std::swap(stream_, other.stream_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

  cudaStream_t stream_ = nullptr;
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace lrm
