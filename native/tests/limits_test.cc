// The micro-benchmarks of limits.h: they run on every instruction set, depend on all their work,
// and refuse what cannot be measured. How fast they are is nobody's promise.

#include "sparsespeech/limits.h"

#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/instruction_sets.h"

namespace sparsespeech {
namespace {

int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::fprintf(stderr, "limits: %s\n", what.c_str());
}

const LimitLoops& loops_of(const std::string& name) {
#if defined(__x86_64__)
  if (name == "avx2") return avx2_limit_loops();
  if (name != "scalar") return avx512_limit_loops();
#endif
  return scalar_limit_loops();
}

// A changed bit anywhere in the buffer changes what the read loop returns.
void test_every_line_is_read(const std::string& name) {
  const LimitLoops& loops = loops_of(name);
  for (const std::size_t lines : {1, 2, 3, 7, 8, 9, 16, 21}) {
    AlignedBuffer<std::uint8_t> data(lines * kCacheLineBytes);
    const std::uint64_t before = loops.read_lines(data.data(), lines);
    for (std::size_t byte = 0; byte < data.size(); ++byte) {
      data[byte] = 1;
      expect(loops.read_lines(data.data(), lines) != before,
             name + " does not read byte " + std::to_string(byte));
      data[byte] = 0;
    }
  }
}

void test_rates_are_positive(const std::string& name) {
  constexpr double kSeconds = 1e-3;
  expect(read_bandwidth(name, 1, 2, kSeconds) > 0, name + " reads nothing");
  expect(read_bandwidth(name, 100'000, 1, kSeconds) > 0, name + " reads nothing");
  expect(multiply_rate(name, 2, kSeconds) > 0, name + " multiplies nothing");
  expect(pick_and_multiply_rate(name, 1, kSeconds) > 0, name + " multiplies nothing");
}

void test_is_refused(const std::string& name, std::size_t threads, double seconds) {
  try {
    multiply_rate(name, threads, seconds);
  } catch (const std::invalid_argument&) {
    return;
  }
  expect(false, name + " with impossible arguments is not refused");
}

}  // namespace

static int run_limits_tests() {
  for (const std::string& name : instruction_sets()) {
    test_every_line_is_read(name);
    test_rates_are_positive(name);
  }
  test_is_refused("neon", 1, 1e-3);
  test_is_refused("scalar", 0, 1e-3);
  test_is_refused("scalar", 1, 0.0);
  return failures == 0 ? 0 : 1;
}

}  // namespace sparsespeech

int main() { return sparsespeech::run_limits_tests(); }
