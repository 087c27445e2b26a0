// Rules R4 and R5 up to the sums of the gates: rescaling of every kernel set against divisions in
// 64 bits, at every shift, at ties and at the largest values that the rules allow.

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "kernel_test.h"
#include "plain_arithmetic.h"

namespace sparsespeech {
namespace {

constexpr std::int32_t kMultipliers[] = {32768, 32769, 49152, 40001, 65535};
constexpr std::int32_t kLargestShift = 47;
constexpr std::int32_t kLargest = 2147483647;

// Multipliers and shifts of N values; stride 0 is the first pair for all.
struct Pairs {
  std::vector<std::int32_t> multiplier, shift;
  std::size_t stride = 1;

  std::size_t place(std::size_t index) const { return index * stride; }
  Rescale view() const { return {multiplier.data(), shift.data(), stride}; }
  std::int64_t rescaled(std::int64_t acc, std::size_t index) const {
    return plain::rescaled(acc, multiplier[place(index)], shift[place(index)]);
  }
};

// The largest |acc| for which R4 allows the pair: |R4'(acc)| < 2^30 for both signs.
std::int32_t largest_allowed(std::int32_t multiplier, std::int32_t shift) {
  const std::int64_t bound =
      (plain::power_of_two(30 + std::min(shift, 30)) - plain::power_of_two(shift)) / multiplier;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(bound, 0, kLargest));
}

// Accumulators that one pair allows: both ends, zero and its neighbours, ties and theirs, others.
std::vector<std::int32_t> accumulators(std::int32_t multiplier, std::int32_t shift,
                                       Random& random) {
  const std::int64_t limit = largest_allowed(multiplier, shift);
  std::vector<std::int64_t> values{limit, -limit, limit - 1, 1 - limit, 0, 1, -1};
  // acc * multiplier is an odd multiple of 2^(shift - 1) if acc is one of 2^(shift - 1) / the
  // power of two in the multiplier.
  const std::int32_t zeros = std::min(__builtin_ctz(static_cast<unsigned>(multiplier)), shift - 1);
  const std::int64_t step = plain::power_of_two(shift - 1 - zeros);
  for (const std::int64_t odd : {1, 3, 5, 101, 30001}) {
    for (const std::int64_t tie : {odd * step, -odd * step}) {
      values.insert(values.end(), {tie - 1, tie, tie + 1});
    }
  }
  for (int i = 0; i < 16; ++i) values.push_back(draw(random, -limit, limit));
  std::erase_if(values, [&](std::int64_t value) { return value < -limit || value > limit; });
  return {values.begin(), values.end()};
}

// All cases, with one pair a value.
struct Cases {
  std::vector<std::int32_t> acc;
  Pairs pairs;

  std::size_t size() const { return acc.size(); }
};

Cases all_cases(Random& random) {
  Cases cases;
  for (std::int32_t shift = 1; shift <= kLargestShift; ++shift) {
    for (const std::int32_t multiplier : kMultipliers) {
      for (const std::int32_t acc : accumulators(multiplier, shift, random)) {
        cases.acc.push_back(acc);
        cases.pairs.multiplier.push_back(multiplier);
        cases.pairs.shift.push_back(shift);
      }
    }
  }
  return cases;
}

Cases shuffled(const Cases& cases, Random& random) {
  std::vector<std::size_t> order(cases.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  Cases result;
  for (const std::size_t i : order) {
    result.acc.push_back(cases.acc[i]);
    result.pairs.multiplier.push_back(cases.pairs.multiplier[i]);
    result.pairs.shift.push_back(cases.pairs.shift[i]);
  }
  return result;
}

template <typename T>
ExactBuffer<T> in_memory(const std::vector<T>& values) {
  ExactBuffer<T> buffer(values.size());
  std::copy(values.begin(), values.end(), buffer.data());
  return buffer;
}

void check_requantize(const Kernels& kernels, const std::vector<std::int32_t>& values,
                      const Pairs& pairs, Clamp clamp) {
  const ExactBuffer<std::int32_t> acc = in_memory(values);
  ExactBuffer<std::uint8_t> y(acc.size(), 77);
  kernels.requantize(acc.data(), acc.size(), pairs.view(), clamp, y.data());
  std::vector<std::uint8_t> expected;
  for (std::size_t i = 0; i < acc.size(); ++i) {
    const std::size_t k = pairs.place(i);
    expected.push_back(static_cast<std::uint8_t>(plain::requantized(
        acc[i], pairs.multiplier[k], pairs.shift[k], clamp.zero_point, clamp.low, clamp.high)));
  }
  const std::string what = "requantize, first shift " + std::to_string(pairs.shift[0]);
  expect_equal(kernels, what, y.span(), expected);
}

constexpr Clamp kClamps[] = {{0, 0, 255},     {128, 0, 255}, {255, 0, 255},  {3, 3, 200},
                             {100, 100, 100}, {0, 0, 0},     {255, 255, 255}};

void test_requantize(const Kernels& kernels) {
  Random random(1);
  for (std::int32_t shift = 1; shift <= kLargestShift; ++shift) {
    for (const std::int32_t multiplier : kMultipliers) {
      for (const Clamp& clamp : kClamps) {
        const Pairs pair{{multiplier}, {shift}, 0};
        check_requantize(kernels, accumulators(multiplier, shift, random), pair, clamp);
      }
    }
  }
  const Cases cases = shuffled(all_cases(random), random);
  for (const Clamp& clamp : kClamps) check_requantize(kernels, cases.acc, cases.pairs, clamp);
}

// Results near the limits of the clamp, where half a unit decides.
void test_requantize_near_limits(const Kernels& kernels) {
  std::vector<std::int32_t> acc;
  for (std::int32_t value = -1200; value <= 1200; ++value) acc.push_back(value);
  for (const Clamp& clamp : kClamps) {
    for (const std::int32_t shift : {16, 17, 18}) {
      for (const std::int32_t multiplier : kMultipliers) {
        check_requantize(kernels, acc, Pairs{{multiplier}, {shift}, 0}, clamp);
      }
    }
  }
}

void test_requantize_sizes(const Kernels& kernels) {
  Random random(2);
  for (std::size_t count = 0; count <= 131; ++count) {
    Cases cases = shuffled(all_cases(random), random);
    cases.acc.resize(count);
    check_requantize(kernels, cases.acc, cases.pairs, {7, 2, 250});
    std::vector<std::int32_t> small(count);
    for (std::int32_t& value : small) value = static_cast<std::int32_t>(draw(random, -9999, 9999));
    check_requantize(kernels, small, Pairs{{50000}, {21}, 0}, {7, 2, 250});
  }
}

// `rows` x 64 accumulators, each allowed by the pair of its row.
void check_store_gates(const Kernels& kernels, std::size_t rows, std::size_t columns,
                       std::size_t stride, const Pairs& pairs, Random& random) {
  ExactBuffer<std::int32_t> acc(rows * kTileColumns);
  for (std::size_t i = 0; i < acc.size(); ++i) {
    const std::size_t k = pairs.place(i / kTileColumns);
    const std::vector<std::int32_t> values =
        accumulators(pairs.multiplier[k], pairs.shift[k], random);
    acc[i] = values[static_cast<std::size_t>(
        draw(random, 0, static_cast<std::int64_t>(values.size()) - 1))];
  }
  constexpr std::int16_t kUntouched = 12345;
  const std::size_t size = columns == 0 ? 0 : (columns - 1) * stride + rows;
  ExactBuffer<std::int16_t> y(size, kUntouched);
  kernels.store_gates(acc.data(), rows, pairs.view(), columns, stride, y.data());
  std::vector<std::int16_t> expected(size, kUntouched);
  for (std::size_t n = 0; n < columns; ++n) {
    for (std::size_t r = 0; r < rows; ++r) {
      expected[n * stride + r] = static_cast<std::int16_t>(
          plain::saturate16(pairs.rescaled(acc[r * kTileColumns + n], r)));
    }
  }
  expect_equal(
      kernels,
      "store_gates, " + std::to_string(rows) + " rows, " + std::to_string(columns) + " columns",
      y.span(), expected);
}

void test_store_gates(const Kernels& kernels) {
  Random random(3);
  for (std::int32_t shift = 1; shift <= kLargestShift; ++shift) {
    for (const std::int32_t multiplier : {32768, 65535}) {
      check_store_gates(kernels, 17, kTileColumns, 17, Pairs{{multiplier}, {shift}, 0}, random);
    }
  }
  for (std::size_t rows = 0; rows <= kRowsOfBlock; ++rows) {
    Cases cases = shuffled(all_cases(random), random);
    cases.pairs.multiplier.resize(kRowsOfBlock);
    cases.pairs.shift.resize(kRowsOfBlock);
    for (const std::size_t columns : {1, 7, 50, 64}) {
      check_store_gates(kernels, rows, columns, rows + 3, cases.pairs, random);
    }
  }
  for (std::size_t columns = 0; columns <= kTileColumns; ++columns) {
    check_store_gates(kernels, 32, columns, 4096, Pairs{{47000}, {30}, 0}, random);
  }
}

void check_gate_sums(const Kernels& kernels, const std::vector<std::int32_t>& values,
                     const Pairs& pairs, const std::vector<std::uint16_t>& destination,
                     Random& random) {
  const ExactBuffer<std::int32_t> acc = in_memory(values);
  ExactBuffer<std::int16_t> stored(acc.size());
  for (std::size_t i = 0; i < acc.size(); ++i) {
    constexpr std::int16_t kEnds[] = {-32768, 32767, 0};
    stored[i] = i % 4 == 3 ? static_cast<std::int16_t>(draw(random, -32768, 32767)) : kEnds[i % 4];
  }
  constexpr std::int32_t kUntouched = 123456789;
  const std::size_t size = 2 * acc.size() + 1;
  ExactBuffer<std::int32_t> sums(size, kUntouched);
  kernels.gate_sums(acc.data(), stored.data(), acc.size(), pairs.view(), destination.data(),
                    sums.data());
  std::vector<std::int32_t> expected(size, kUntouched);
  for (std::size_t i = 0; i < acc.size(); ++i) {
    expected[destination[i]] = static_cast<std::int32_t>(stored[i] + pairs.rescaled(acc[i], i));
  }
  expect_equal(kernels, "gate_sums of " + std::to_string(acc.size()), sums.span(), expected);
}

// Places of N slots among 2N + 1: in order, backwards, in runs, and at random.
std::vector<std::vector<std::uint16_t>> destinations(std::size_t count, Random& random) {
  std::vector<std::uint16_t> places(2 * count + 1);
  std::iota(places.begin(), places.end(), std::uint16_t{0});
  const auto size = static_cast<std::ptrdiff_t>(count);
  std::vector<std::vector<std::uint16_t>> all;
  all.emplace_back(places.begin() + 1, places.begin() + 1 + size);
  all.emplace_back(places.rbegin(), places.rbegin() + size);
  all.push_back(all[0]);
  for (std::size_t i = 0; i + 8 <= count; i += 24) {  // a step that begins and ends in order
    std::swap(all[2][i + 3], all[2][i + 4]);
  }
  std::shuffle(places.begin(), places.end(), random);
  all.emplace_back(places.begin(), places.begin() + size);
  return all;
}

void test_gate_sums(const Kernels& kernels) {
  Random random(4);
  for (const std::size_t count : {0, 16, 32, 48, 64, 80, 112, 128, 144, 3008}) {
    Cases cases = shuffled(all_cases(random), random);
    cases.acc.resize(count);
    for (const std::vector<std::uint16_t>& destination : destinations(count, random)) {
      check_gate_sums(kernels, cases.acc, cases.pairs, destination, random);
      std::vector<std::int32_t> acc(count);
      for (std::int32_t& value : acc) {
        value = static_cast<std::int32_t>(draw(random, -kLargest, kLargest));
      }
      check_gate_sums(kernels, acc, Pairs{{65535}, {17}, 0}, destination, random);
    }
  }
}

}  // namespace
}  // namespace sparsespeech

int main() {
  return sparsespeech::run_kernel_tests(
      {sparsespeech::test_requantize, sparsespeech::test_requantize_near_limits,
       sparsespeech::test_requantize_sizes, sparsespeech::test_store_gates,
       sparsespeech::test_gate_sums});
}
