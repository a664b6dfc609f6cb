#include "plan_steps.h"

#include <initializer_list>

#include "network_kernel.h"

namespace lrm {
namespace {

// Sizes up to this multiply without overflow in 64 bits where two of them meet.
constexpr std::int64_t largest_size = std::int64_t{1} << 31;
// Kernels count the elements of a few packed rows of this many inputs in an int.
constexpr std::int64_t most_inputs = 1 << 20, most_head_columns = 4096;

// Reads and checks steps against the sizes of the plan.
class StepReader {
 public:
  explicit StepReader(const NetworkPlan& plan) : plan_(plan) {}

  PlanStep read(std::int64_t opcode, Words& words) const {
    switch (opcode) {
      case 1:
        return copy(words);
      case 2:
        return binary(words);
      case 3:
        return unary(words);
      case 4:
        return layer_norm(words);
      case 5:
        return linear(words);
      case 6:
        return attention(words);
      case 7:
        return depthwise(words);
      default:
        refuse("expected an operation of 1 to 7", opcode);
    }
  }

 private:
  std::int64_t constants() const { return plan_.weight_bytes / 4; }

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

  Operand operand(Words& words) const {
    Operand value;
    value.constant = words.between(0, 1, "expected a value in the arena (0) or the file (1)") == 1;
    value.at = words.offset();
    return value;
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

  static std::vector<Dimension> dimensions(Words& words) {
    const std::int64_t rank = words.between(1, plan_max_rank, "expected a rank of 1 to 8");
    std::vector<Dimension> found;
    for (std::int64_t i = 0; i < rank; ++i) {
      Dimension d;
      d.size = words.between(1, largest_size, "expected a size of 1 to 2^31");
      d.first_stride =
          words.between(-largest_size, largest_size, "expected a stride of -2^31 to 2^31");
      d.second_stride =
          words.between(-largest_size, largest_size, "expected a stride of -2^31 to 2^31");
      found.push_back(d);
    }
    return found;
  }
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

  // How many, all of which are written: no more than the arena has.
  std::int64_t elements(const std::vector<Dimension>& dimensions) const {
    std::int64_t count = 1;
    for (const Dimension& d : dimensions) {
      expect(d.size <= plan_.arena_floats / count, "expected values within the arena", d.size);
      count *= d.size;
    }
    return count;
  }

  PlanStep copy(Words& words) const {
    CopyStep step;
    step.in = operand(words);
    step.out = words.offset();
    step.dimensions = dimensions(words);
    elements(step.dimensions);
    for (const Dimension& d : step.dimensions) {
      expect(d.size == 1 || d.second_stride > 0, "expected a stride of what is written above 0",
             d.second_stride);
    }
    reach(step.in, step.dimensions, &Dimension::first_stride);
    reach({false, step.out}, step.dimensions, &Dimension::second_stride);
    return step;
  }

  PlanStep binary(Words& words) const {
    BinaryStep step;
    step.kind = static_cast<int>(words.between(0, 3, "expected a kind of 0 to 3"));
    step.first = operand(words);
    step.second = operand(words);
    step.out = words.offset();
    step.dimensions = dimensions(words);
    reach(step.first, step.dimensions, &Dimension::first_stride);
    reach(step.second, step.dimensions, &Dimension::second_stride);
    in_arena(step.out, step.out + elements(step.dimensions) - 1);
    return step;
  }

  PlanStep unary(Words& words) const {
    static constexpr int activations[] = {linear_gelu, linear_gelu_tanh, linear_silu, linear_relu,
                                          linear_relu6};
    UnaryStep step;
    step.activation = activations[words.between(0, 4, "expected a kind of 0 to 4")];
    step.in = words.offset();
    step.out = words.offset();
    step.count = words.between(1, most_floats, "expected a count");
    in_arena(step.in, step.in + step.count - 1);
    in_arena(step.out, step.out + step.count - 1);
    return step;
  }

  std::int64_t optional_constants(Words& words, std::int64_t count) const {
    const std::int64_t at = words.between(-1, most_floats, "expected an offset of constants or -1");
    if (at >= 0) in_constants(at, count);
    return at;
  }

  PlanStep layer_norm(Words& words) const {
    LayerNormStep step;
    step.in = words.take();
    step.out = words.take();
    step.rows = words.size("expected a number of rows");
    step.width = words.size("expected a width");
    step.epsilon = words.real(0, 1e30, "expected an epsilon of 0 or more");
    step.scale = optional_constants(words, step.width);
    step.bias = optional_constants(words, step.width);
    rows_in_arena(step.in, step.width, step.rows, step.width);
    rows_in_arena(step.out, step.width, step.rows, step.width);
    return step;
  }

  PlanStep linear(Words& words) const {
    LinearStep step;
    step.in = words.take();
    step.in_stride = words.take();
    step.rows = words.size("expected a number of rows");
    step.inputs = static_cast<int>(words.between(1, most_inputs, "expected inputs of 1 to 2^20"));
    step.outputs = words.size("expected a number of outputs");
    step.bfloat16 = precision(words);
    step.matrix = words.between(0, 4 * most_floats, "expected an offset of a matrix");
    step.bias = optional_constants(words, step.outputs);
    step.activation = static_cast<int>(words.between(0, 6, "expected an activation of 0 to 6"));
    step.residual = words.between(-1, most_floats, "expected an offset of a value or -1");
    step.residual_stride = words.take();
    step.out = words.take();
    step.out_stride = words.take();
    const bool gated = step.activation == linear_geglu;
    expect(!gated || step.outputs % linear_group == 0, "expected gated outputs in groups of 32",
           step.outputs);
    const std::int64_t width = gated ? step.outputs / 2 : step.outputs;
    rows_in_arena(step.in, step.in_stride, step.rows, step.inputs);
    rows_in_arena(step.out, step.out_stride, step.rows, width);
    if (step.residual >= 0) {
      rows_in_arena(step.residual, step.residual_stride, step.rows, width);
    }
    check_matrix(step);
    return step;
  }

  void check_matrix(const LinearStep& step) const {
    const std::int64_t bytes = std::int64_t{step.outputs} * step.inputs;
    expect(step.matrix % 64 == 0, "expected a matrix at a multiple of 64 bytes", step.matrix);
    expect(bytes <= (plan_.weight_bytes - step.matrix) / (step.bfloat16 ? 2 : 4),
           "expected a matrix within the file", step.matrix);
  }

  PlanStep attention(Words& words) const {
    AttentionStep step;
    for (std::int64_t* word : {&step.q, &step.q_stride, &step.k, &step.k_stride, &step.v,
                               &step.v_stride, &step.out, &step.out_stride}) {
      *word = words.take();
    }
    step.heads = words.size("expected a number of heads");
    step.queries = words.size("expected a number of queries");
    step.keys = words.size("expected a number of keys");
    step.width = static_cast<int>(
        words.between(1, most_head_columns, "expected a width of a head of 1 to 4096"));
    // Within these, what stands for no score is far below every finite one.
    step.scale = words.real(1e-20, 1e20, "expected a scale of 1e-20 to 1e20");
    step.bfloat16 = precision(words);
    const std::int64_t width = std::int64_t{step.heads} * step.width;
    rows_in_arena(step.q, step.q_stride, step.queries, width);
    rows_in_arena(step.k, step.k_stride, step.keys, width);
    rows_in_arena(step.v, step.v_stride, step.keys, width);
    rows_in_arena(step.out, step.out_stride, step.queries, width);
    return step;
  }

  PlanStep depthwise(Words& words) const {
    DepthwiseStep step;
    step.in = words.take();
    for (int* size : {&step.height, &step.width, &step.channels, &step.kernel, &step.stride}) {
      *size = static_cast<int>(words.between(1, 1 << 20, "expected a size of 1 to 2^20"));
    }
    for (int* size : {&step.top, &step.left}) {
      *size = static_cast<int>(words.between(0, 1 << 20, "expected a border of 0 to 2^20"));
    }
    for (int* size : {&step.out_height, &step.out_width}) {
      *size = static_cast<int>(words.between(1, 1 << 10, "expected a size of 1 to 1024"));
    }
    expect(step.stride <= 1 << 10 && step.kernel <= 1 << 10, "expected a kernel of 1 to 1024",
           step.kernel);
    step.matrix = words.take();
    step.bias = optional_constants(words, step.channels);
    step.activation = static_cast<int>(words.between(0, 6, "expected an activation of 0 to 6"));
    expect(step.activation != linear_geglu, "expected an activation of one value", step.activation);
    step.out = words.take();
    in_constants(step.matrix, std::int64_t{step.kernel} * step.kernel * step.channels);
    pictures_in_arena(step.in, step.height, step.width, step.channels);
    pictures_in_arena(step.out, step.out_height, step.out_width, step.channels);
    return step;
  }

  void pictures_in_arena(std::int64_t at, std::int64_t height, std::int64_t width,
                         std::int64_t channels) const {
    expect(height * width <= most_floats / channels, "expected values within the arena", height);
    rows_in_arena(at, 0, 1, height * width * channels);
  }

  static bool precision(Words& words) {
    return words.between(0, 1, "expected a precision of 0 or 1") == 1;
  }

  const NetworkPlan& plan_;
};

}  // namespace

PlanStep read_plan_step(const NetworkPlan& plan, std::int64_t opcode, Words& words) {
  return StepReader(plan).read(opcode, words);
}

}  // namespace lrm
