// A picture in its square -> what the network takes: composited, resized. The twin of what follows
// find_square in lrm_sdk/preprocess.py. Each side is a weighted sum of `taps` neighbours:
//
// pixels    [height, width, channels] uint8: 4 with straight alpha, 3 without; in the middle of a
// square
//           that is transparent around it, an odd pixel to the bottom and the right
// first     [size] int32, the first neighbour; those outside of the square mean its border
// weights   [size, taps] float32
// rows      [side, size, 3] float32: the rows resized, between the two kernels
// image     [3, size, size] float32 in [0, 1]
#include "platform.cuh"

namespace lrm {

// Rounded after every step, as NumPy does, where the compiler may else fuse two or divide roughly:
// what is cut off to 8 bits must fall on the same side.
LRM_HOST_DEVICE float rounded_product(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
LRM_HOST_DEVICE float rounded_sum(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}
LRM_HOST_DEVICE float rounded_quotient(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

// One channel in [0, 1] over the background; straight alpha, in sRGB.
LRM_HOST_DEVICE float over(unsigned char color, float alpha, float background, bool cut_off) {
  const float sum =
      rounded_sum(rounded_product(rounded_quotient(static_cast<float>(color), 255.0f), alpha),
                  rounded_product(background, rounded_sum(1.0f, -alpha)));
  if (!cut_off) return sum;
  return rounded_quotient(floorf(rounded_product(sum, 255.0f)), 255.0f);
}

// A picture in the middle of its square.
struct Framed {
  const unsigned char* pixels;
  int height, width, channels;
  int top, left;  // of the picture in the square

  // rgba [4] at a place of the square.
  LRM_HOST_DEVICE void read(int row, int column, unsigned char rgba[4]) const {
    const int y = row - top, x = column - left;
    const bool there = y >= 0 && y < height && x >= 0 && x < width;
    const unsigned char* pixel = pixels + (static_cast<long long>(y) * width + x) * channels;
    for (int c = 0; c < 3; ++c) rgba[c] = there ? pixel[c] : 0;
    rgba[3] = !there ? 0 : channels == 4 ? pixel[3] : 255;
  }
};

LRM_HOST_DEVICE int within(int index, int side) {
  return index < 0 ? 0 : index < side ? index : side - 1;
}

}  // namespace lrm

// A thread makes one pixel of a row. cut_off: 1 to keep 8 bits of the composited picture.
extern "C" __global__ void lrm_prepare_rows(const unsigned char* __restrict__ pixels, int height,
                                            int width, int channels, int side, int size, int taps,
                                            const int* __restrict__ first,
                                            const float* __restrict__ weights, float red,
                                            float green, float blue, int cut_off,
                                            float* __restrict__ rows) {
  using namespace lrm;
  const long long index = thread_index();
  if (index >= static_cast<long long>(side) * size) return;
  const int x = static_cast<int>(index % size);
  const int y = static_cast<int>(index / size);
  const Framed square{pixels, height, width, channels, (side - height) / 2, (side - width) / 2};
  float sum[3] = {0.0f, 0.0f, 0.0f};
  for (int k = 0; k < taps; ++k) {
    unsigned char pixel[4];
    square.read(y, within(first[x] + k, side), pixel);
    const float weight = weights[x * taps + k];
    const float alpha = rounded_quotient(static_cast<float>(pixel[3]), 255.0f);
    sum[0] += weight * over(pixel[0], alpha, red, cut_off != 0);
    sum[1] += weight * over(pixel[1], alpha, green, cut_off != 0);
    sum[2] += weight * over(pixel[2], alpha, blue, cut_off != 0);
  }
  for (int c = 0; c < 3; ++c) rows[3 * index + c] = sum[c];
}

// A thread makes one pixel of the image.
extern "C" __global__ void lrm_prepare_columns(const float* __restrict__ rows, int side, int size,
                                               int taps, const int* __restrict__ first,
                                               const float* __restrict__ weights,
                                               float* __restrict__ image) {
  using namespace lrm;
  const int index = static_cast<int>(thread_index());
  if (index >= size * size) return;
  const int x = index % size, y = index / size;
  float sum[3] = {0.0f, 0.0f, 0.0f};
  for (int k = 0; k < taps; ++k) {
    const long long row = within(first[y] + k, side);
    const float weight = weights[y * taps + k];
    for (int c = 0; c < 3; ++c) sum[c] += weight * rows[(row * size + x) * 3 + c];
  }
  for (int c = 0; c < 3; ++c) {  // cubic weights overshoot
    image[c * size * size + index] = fminf(fmaxf(sum[c], 0.0f), 1.0f);
  }
}
