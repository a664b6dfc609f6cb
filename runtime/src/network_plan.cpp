#include "network_plan.h"

#include <cstring>

#include "plan_steps.h"

namespace lrm {
namespace {

constexpr char magic[] = "LRMNET01";
constexpr std::int64_t header_words = 15, page = 4096;

std::int64_t product(const std::int64_t* sizes, int count) {
  std::int64_t total = 1;
  for (int i = 0; i < count; ++i) {
    expect(sizes[i] >= 1 && sizes[i] <= 1 << 20, "expected a size of 1 to 2^20", sizes[i]);
    total *= sizes[i];
    expect(total <= most_floats, "expected values within the arena", total);
  }
  return total;
}

// A picture or planes, contiguous in the arena.
void check_values(const std::int64_t* sizes, int count, std::int64_t at, std::int64_t arena) {
  const std::int64_t floats = product(sizes, count);
  expect(at >= 0 && floats <= arena && at <= arena - floats, "expected values within the arena",
         at);
}

NetworkPlan read_header(Words& words, const MappedFile& file) {
  NetworkPlan plan;
  const auto file_bytes = static_cast<std::int64_t>(file.size());
  plan.weights_at = words.between(page, file_bytes, "expected weights within the file");
  expect(plan.weights_at % page == 0, "expected weights at a multiple of 4096", plan.weights_at);
  const std::int64_t said = words.take();
  expect(said == file_bytes, "expected as many bytes as the file has", said);
  plan.weight_bytes = file_bytes - plan.weights_at;
  plan.bfloat16 = words.between(0, 1, "expected a precision of 0 or 1") == 1;
  return plan;
}

}  // namespace

NetworkPlan read_network_plan(const MappedFile& file) {
  const auto size = static_cast<std::int64_t>(file.size());
  expect(size >= 8 * header_words, "expected a header of 120 bytes", size);
  expect(std::memcmp(file.data(), magic, 8) == 0, "expected LRMNET01 at the start of the file",
         file.data()[0]);
  Words words(file.data() + 8, header_words - 1);
  NetworkPlan plan = read_header(words, file);
  const std::int64_t count = words.between(0, 1 << 20, "expected a number of steps");
  plan.arena_floats = words.between(1, most_floats, "expected a size of the arena");
  for (std::int64_t& n : plan.image) n = words.take();
  plan.image_at = words.take();
  for (std::int64_t& n : plan.planes) n = words.take();
  plan.planes_at = words.take();
  check_values(plan.image, 3, plan.image_at, plan.arena_floats);
  check_values(plan.planes, 4, plan.planes_at, plan.arena_floats);

  const unsigned char* at = file.data() + 8 * header_words;
  std::int64_t left = plan.weights_at / 8 - header_words;
  for (std::int64_t i = 0; i < count; ++i) {
    Words head(at, left < 2 ? left : 2);
    const std::int64_t opcode = head.take();
    const std::int64_t length = head.between(0, left - 2, "expected steps before the weights");
    Words record(at + 16, length);
    plan.steps.push_back(read_plan_step(plan, opcode, record));
    record.end();
    at += 8 * (length + 2);
    left -= length + 2;
  }
  return plan;
}

}  // namespace lrm
