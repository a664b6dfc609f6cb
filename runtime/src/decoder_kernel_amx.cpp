// The point decoder with matrix instructions: the steps of decoder_kernel_impl.h, two groups of
// points in turn, so that the activations of one run beside the matrix products of the other.
#if defined(__x86_64__)
#define LRM_LANES 16
#define LRM_BLOCK 64  // two groups
#include "decoder_finish_impl.h"
#include "decoder_gradient_impl.h"
#include "decoder_rough_impl.h"
#include "decoder_tiles_impl.h"

namespace lrm {
namespace {

static_assert(kernel_block == 2 * group_points, "a block is two groups");

int group_stride(const KernelModel& m) {
  return (m.widest + tile_channels - 1) / tile_channels * tile_channels;
}

// Infinity has no parts: split, it would be NaN and in the next layer 0, where float32 is infinite.
// As fast as a maximum. (SiLU would pay 4 % of a query for it; there an overflow gives NaN.)
struct BoundedRelu : Relu {
  static Vector apply(Vector x) {
    // A digit for each class of x, from the last one on: NaN, signalling NaN, zero, one, -infinity,
    // +infinity, negative, positive. 1 keeps it, 8 is zero, e the largest float.
    const __m512i response = _mm512_set1_epi32(0x18e81888);
    return _mm512_fixupimm_ps(x, x, response, 0);
  }
};

// The precision of the products between the layers: float32's, or that of one bfloat16.
struct Precise {
  static void store(Vector a, Vector b, const SplitValues& to, int at) {
    store_parts(a, b, to.part[0] + at, to.part[1] + at, to.part[2] + at);
  }
  template <class Each>
  static void multiply(const KernelLayer& l, const SplitValues& values, float* sums, int stride,
                       const Each& each) {
    multiply_parts(l.tiles, l.bias, tile_channels, values, sums, stride, each);
  }
};

struct Rough {
  static void store(Vector a, Vector b, const SplitValues& to, int at) { store_cut(a, b, to, at); }
  template <class Each>
  static void multiply(const KernelLayer& l, const SplitValues& values, float* sums, int stride,
                       const Each& each) {
    multiply_rounded(l, values, sums, stride, each);
  }
};

// What a group of points keeps between the layers.
struct Group {
  float* sums;         // [group_points, stride] before the activation
  SplitValues values;  // after it
  float* slopes;       // [layer_count, group_points, stride] its derivatives, for gradients
};

class Block {
 public:
  Block(const KernelModel& m, float* scratch, bool gradient)
      : m_(m), stride_(group_stride(m)), size_(group_points * stride_) {
    for (Group& group : groups_) {
      group.sums = scratch;
      auto* parts = reinterpret_cast<unsigned short*>(scratch + size_);
      for (int i = 0; i < 3; ++i) group.values.part[i] = parts + i * size_;
      group.slopes = scratch + 3 * size_;
      scratch += group_floats(m, gradient);
    }
  }

  static long long scratch_floats(const KernelModel& m, bool gradient) {
    return 2 * group_floats(m, gradient);
  }

  void decode(const float* xyz, int count, const Decoded& decoded) {
    locate(m_, xyz, count, &corners_);
    const bool two = count > group_points || decoded.gradient != nullptr;
    if (decoded.gradient != nullptr) {
      m_.silu ? forward<Silu, true>(two) : forward<BoundedRelu, true>(two);
    } else if (decoded.rough) {
      m_.silu ? forward<RoughSilu, false, Rough>(two) : forward<BoundedRelu, false, Rough>(two);
    } else {
      m_.silu ? forward<Silu, false>(two) : forward<BoundedRelu, false>(two);
    }
    write_values(count, decoded);
    if (decoded.gradient != nullptr) {
      backward();
      for (int i = 0; i < count; ++i) {
        point_gradient(m_, corners_, i, row(groups_[i / group_points].sums, i % group_points),
                       decoded.gradient + 3 * i);
      }
    }
  }

 private:
  // Sums, their split values (one and a half times as many bytes, rounded up), slopes.
  static long long group_floats(const KernelModel& m, bool gradient) {
    return 1LL * (gradient ? 3 + m.layer_count : 3) * group_points * group_stride(m);
  }

  static void rest(int) {}

  float* row(float* values, int point) const { return values + point * stride_; }
  float* slope_row(const Group& group, int layer, int point) const {
    return row(group.slopes + layer * size_, point);
  }

  template <class Each>
  static void for_group(const Each& each) {
    for (int i = 0; i < group_points; ++i) each(i);
  }

  // Channels of a tile at a point to where the next product reads them.
  template <class Precision>
  void store_tile(const Group& group, int point, int channel, Vector a, Vector b) const {
    Precision::store(a, b, group.values, channel * group_points + point * tile_channels);
  }

  // -- forward ------------------------------------------------------------------------------------

  // The activation of layer `layer`, the first being 0, at one point.
  template <class Activation, bool kSlope, class Precision>
  void activate(const Group& group, int layer, int channels, int point) const {
    const float* sums = row(group.sums, point);
    for (int c = 0; c < channels; c += tile_channels) {
      const Vector a = load(sums + c), b = load(sums + c + 16);
      store_tile<Precision>(group, point, c, Activation::apply(a), Activation::apply(b));
      if constexpr (kSlope) {
        float* slope = slope_row(group, layer, point) + c;
        store(slope, Activation::slope(a));
        store(slope + 16, Activation::slope(b));
      }
    }
  }

  template <class Activation, bool kSlope, class Precision>
  void look_up(int g, int point) const {
    float* sums = row(groups_[g].sums, point);
    gather_point(m_, corners_, g * group_points + point, sums);
    const int channels = m_.channel_stride;
    if (channels % tile_channels != 0) store(sums + channels, splat(0.0f));
    activate<Activation, kSlope, Precision>(groups_[g], 0, channels, point);
  }

  template <class Precision, class Each>
  void multiply_layer(int g, int layer, const Each& each) const {
    Precision::multiply(m_.layers[layer], groups_[g].values, groups_[g].sums, stride_, each);
  }

  // Leaves the last layer's outputs in the groups' sums.
  template <class Activation, bool kSlope, class Precision = Precise>
  void forward(bool two) const {
    const auto look_up_in = [&](int g) {
      return [this, g](int i) { look_up<Activation, kSlope, Precision>(g, i); };
    };
    for_group(look_up_in(0));
    two ? multiply_layer<Precision>(0, 0, look_up_in(1)) : multiply_layer<Precision>(0, 0, rest);
    for (int layer = 1; layer < m_.layer_count; ++layer) {
      const int channels = m_.layers[layer].inputs;
      const auto activate_in = [&](int g) {
        return [this, g, layer, channels](int i) {
          activate<Activation, kSlope, Precision>(groups_[g], layer, channels, i);
        };
      };
      if (two) {
        multiply_layer<Precision>(1, layer - 1, activate_in(0));
        multiply_layer<Precision>(0, layer, activate_in(1));
      } else {
        for_group(activate_in(0));
        multiply_layer<Precision>(0, layer, rest);
      }
    }
    if (two) multiply_layer<Precision>(1, m_.layer_count - 1, rest);
  }

  void write_values(int count, const Decoded& decoded) const {
    alignas(64) float raw[4 * kernel_block];
    for (int i = 0; i < kernel_block; ++i) {
      const float* outputs = row(groups_[i / group_points].sums, i % group_points);
      for (int k = 0; k < 4; ++k) raw[k * kernel_block + i] = i < count ? outputs[k] : 0.0f;
    }
    if (decoded.density != nullptr) {
      write_density(m_, raw, count, decoded.activate, decoded.density);
    }
    if (decoded.rgb != nullptr) write_color(m_, raw, count, decoded.rgb);
  }

  // -- backward -----------------------------------------------------------------------------------
  // Shares in the raw density, from those of the last hidden layer to those of the planes'
  // channels.

  // With one layer after the planes these are what it leaves for them.
  void density_shares(const Group& group, int point) const {
    const int layer = m_.layer_count - 1;
    float* sums = row(group.sums, point);
    for (int c = 0; c < m_.layers[layer].inputs; c += lanes)
      store(sums + c, load(m_.density_row + c));
    if (layer > 0) shares(group, layer, point);
  }

  // The sums, passed back through the activation before `layer`.
  void shares(const Group& group, int layer, int point) const {
    const float* sums = row(group.sums, point);
    const float* slope = slope_row(group, layer, point);
    for (int c = 0; c < m_.layers[layer].inputs; c += tile_channels) {
      store_tile<Precise>(group, point, c, load(slope + c) * load(sums + c),
                          load(slope + c + 16) * load(sums + c + 16));
    }
  }

  template <class Each>
  void multiply_transposed(int g, int layer, const Each& each) const {
    multiply_parts(m_.layers[layer].transposed_tiles, no_bias, 0, groups_[g].values,
                   groups_[g].sums, stride_, each);
  }

  // Leaves the shares of the planes' channels in the groups' sums.
  void backward() const {
    const int last = m_.layer_count - 1;
    const auto density_in = [this](int g) {
      return [this, g](int i) { density_shares(groups_[g], i); };
    };
    const auto planes_in = [this](int g) {
      return [this, g](int i) { plane_shares(groups_[g], i); };
    };
    for_group(density_in(0));
    if (last == 0) {
      for_group(density_in(1));
    } else {
      multiply_transposed(0, last - 1, density_in(1));
    }
    for (int layer = last - 1; layer > 0; --layer) {
      const auto shares_in = [this, layer](int g) {
        return [this, g, layer](int i) { shares(groups_[g], layer, i); };
      };
      multiply_transposed(1, layer, shares_in(0));
      multiply_transposed(0, layer - 1, shares_in(1));
    }
    last == 0 ? for_group(planes_in(0)) : multiply_transposed(1, 0, planes_in(0));
    for_group(planes_in(1));
  }

  void plane_shares(const Group& group, int point) const {
    float* sums = row(group.sums, point);
    const float* slope = slope_row(group, 0, point);
    for (int c = 0; c < m_.channel_stride; c += lanes) {
      store(sums + c, load(sums + c) * load(slope + c));
    }
  }

  alignas(64) static constexpr float no_bias[tile_channels] = {};

  const KernelModel& m_;
  const int stride_;
  const int size_;
  Group groups_[2];
  Corners corners_;
};

// A field without further layers has nothing to multiply.
bool has_products(const KernelModel& m) { return m.layer_count > 0; }

long long scratch_floats(const KernelModel& m, bool gradient) {
  if (!has_products(m)) return avx512_kernel.scratch_floats(m, gradient);
  return Block::scratch_floats(m, gradient);
}

void decode(const KernelModel& m, const float* xyz, long long count, Decoded decoded,
            float* scratch) {
  if (!has_products(m)) {
    avx512_kernel.decode(m, xyz, count, decoded, scratch);
    return;
  }
  const TileScope tiles;
  Block block(m, scratch, decoded.gradient != nullptr);
  for (; count > 0; count -= kernel_block, xyz += 3 * kernel_block) {
    const int points = count < kernel_block ? static_cast<int>(count) : kernel_block;
    block.decode(xyz, points, decoded);
    advance(&decoded, points);
  }
}

}  // namespace

const Kernel amx_kernel = {"amx", true, scratch_floats, decode};

}  // namespace lrm
#endif
