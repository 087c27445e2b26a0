// Rules R5 to R8 of every kernel set against the rules written in 64 bits: each of the 65,536
// inputs of each gate, every number of units, and the ends of every range.

#include <algorithm>
#include <string>
#include <vector>

#include "kernel_test.h"
#include "plain_arithmetic.h"

namespace sparsespeech {
namespace {

enum Gate : std::size_t { kInput, kForget, kCandidate, kOutput };

const plain::Table& table() {
  static const plain::Table instance;
  return instance;
}

// Units whose peephole rescaling is one pair for all.
struct Units {
  std::vector<plain::Unit> units;
  bool peephole = false;

  std::size_t size() const { return units.size(); }
};

// Runs the kernel, with `gap` values between the gates, and compares cells, outputs and the sums.
void check(const Kernels& kernels, const std::string& what, const Units& all, std::size_t gap = 0) {
  const std::size_t count = all.size(), stride = count + gap;
  ExactBuffer<std::int32_t> sums(4 * stride - (count == 0 ? 0 : gap));
  ExactBuffer<std::int16_t> weights(3 * count), cell(count);
  ExactBuffer<std::uint8_t> h(count);
  std::vector<std::int16_t> expected_cell;
  std::vector<std::uint8_t> expected_h;
  for (std::size_t u = 0; u < count; ++u) {
    const plain::Unit& unit = all.units[u];
    for (std::size_t gate = 0; gate < 4; ++gate) {
      sums[gate * stride + u] = static_cast<std::int32_t>(unit.sums[gate]);
    }
    for (std::size_t k = 0; k < 3; ++k) {
      weights[k * count + u] = static_cast<std::int16_t>(unit.peephole[k]);
    }
    cell[u] = static_cast<std::int16_t>(unit.cell);
    const plain::UnitResult result = plain::step(unit, table());
    expected_cell.push_back(static_cast<std::int16_t>(result.cell));
    expected_h.push_back(static_cast<std::uint8_t>(result.h));
  }
  const plain::Unit pair = count == 0 ? plain::Unit{} : all.units[0];
  const auto multiplier = static_cast<std::int32_t>(pair.multiplier);
  const auto shift = static_cast<std::int32_t>(pair.shift);
  Peephole peephole;
  if (all.peephole) {
    peephole = {weights.data(), weights.data() + count, weights.data() + 2 * count,
                Rescale{&multiplier, &shift, 0}};
  }
  const std::vector<std::int32_t> sums_before(sums.data(), sums.data() + sums.size());
  kernels.lstm_cell(sums.data(), stride, count, peephole, SigmoidTable{table().base, table().slope},
                    cell.data(), h.data());
  expect_equal(kernels, what + ", cell", cell.span(), expected_cell);
  expect_equal(kernels, what + ", h", h.span(), expected_h);
  expect_equal(kernels, what + ", sums", sums.span(), sums_before);
}

// A gate that stands open, shut or anywhere.
std::int64_t any_sum(Random& random) {
  switch (draw(random, 0, 3)) {
    case 0:
      return draw(random, -40000, 40000);
    case 1:
      return draw(random, -3000, 3000);
    case 2:
      return draw(random, 0, 1) == 0 ? -1 : 0;
    default:
      return (draw(random, 0, 1) == 0 ? 1 : -1) * draw(random, 0, plain::power_of_two(30) + 32767);
  }
}

plain::Unit any_unit(Random& random) {
  plain::Unit unit;
  for (std::int64_t& sum : unit.sums) sum = any_sum(random);
  unit.cell = draw(random, -32768, 32767);
  return unit;
}

// Each gate at each of the 65,536 values of 16 bits. A difference of one unit in i or g moves the
// new cell in one case of 16, so these two meet several cells.
void test_every_input(const Kernels& kernels) {
  Random random(1);
  for (const Gate gate : {kInput, kForget, kCandidate, kOutput}) {
    const int repeats = gate == kInput || gate == kCandidate ? 8 : 2;
    for (int repeat = 0; repeat < repeats; ++repeat) {
      Units all;
      for (std::int64_t x = -32768; x <= 32767; ++x) {
        plain::Unit unit = any_unit(random);
        if (gate == kInput) unit.sums[kCandidate] = repeat % 2 == 0 ? 16384 : -16384;
        if (gate == kCandidate) unit.sums[kInput] = 16384;
        unit.sums[gate] = x;
        all.units.push_back(unit);
      }
      check(kernels, "gate " + std::to_string(gate) + " at every input", all);
    }
  }
}

// sigmoid(f) in full: the new cell is -f for c = -32768 and g = 0. tanh(c) of every cell: o = max.
void test_functions_alone(const Kernels& kernels) {
  Units forget, output;
  for (std::int64_t x = -32768; x <= 32767; ++x) {
    forget.units.push_back({.sums = {0, x, 0, 0}, .cell = -32768});
    output.units.push_back({.sums = {-32768, 32767, 0, 32767}, .cell = x});
  }
  check(kernels, "sigmoid alone", forget);
  check(kernels, "tanh of the cell", output);
}

void test_sizes(const Kernels& kernels) {
  Random random(2);
  for (std::size_t count = 0; count <= 131; ++count) {
    for (const bool peephole : {false, true}) {
      for (const std::size_t gap : {0, 1, 37}) {
        Units all{.units = {}, .peephole = peephole};
        for (std::size_t u = 0; u < count; ++u) {
          all.units.push_back(any_unit(random));
          for (std::int64_t& weight : all.units[u].peephole) {
            weight = peephole ? draw(random, -32767, 32767) : 0;
          }
          all.units[u].multiplier = 40000;
          all.units[u].shift = 27;
        }
        check(kernels, std::to_string(count) + " units", all, gap);
      }
    }
  }
}

// The sums at the ends that R5 proves: 2^15 + 2^30 without peephole, 2^31 - 1 with it.
void test_largest_sums(const Kernels& kernels) {
  Units plain_units, peephole{.units = {}, .peephole = true};
  const std::int64_t largest = plain::power_of_two(15) + plain::power_of_two(30) - 1;
  for (int signs = 0; signs < 64; ++signs) {
    plain::Unit unit;
    for (std::size_t gate = 0; gate < 4; ++gate) {
      unit.sums[gate] = (signs >> gate) % 2 == 0 ? largest : -largest;
    }
    unit.cell = (signs >> 4) % 2 == 0 ? 32767 : -32768;
    plain_units.units.push_back(unit);
    // M = 2^15 and s = 15: the term is w * c itself, at most 2^30 - 2^15.
    unit.multiplier = 32768;
    unit.shift = 15;
    unit.peephole.fill((signs >> 5) % 2 == 0 ? 32767 : -32767);
    peephole.units.push_back(unit);
  }
  check(kernels, "largest sums", plain_units);
  check(kernels, "largest sums with peephole", peephole);
}

// Peephole terms of every shift that R5 allows for the multiplier, and small sums, so that the
// term decides; the output gate must see the new cell.
void test_peephole(const Kernels& kernels) {
  Random random(3);
  for (const std::int64_t multiplier : {32768, 45000, 65535}) {
    for (std::int64_t shift = multiplier == 32768 ? 15 : 16; shift <= 47; ++shift) {
      Units all{.units = {}, .peephole = true};
      for (int u = 0; u < 100; ++u) {
        plain::Unit unit = any_unit(random);
        if (u % 2 == 0) {
          for (std::int64_t& sum : unit.sums) sum = draw(random, -9000, 9000);
        }
        for (std::int64_t& weight : unit.peephole) weight = draw(random, -32767, 32767);
        unit.multiplier = multiplier;
        unit.shift = shift;
        all.units.push_back(unit);
      }
      check(kernels, "peephole, shift " + std::to_string(shift), all);
    }
  }
}

}  // namespace
}  // namespace sparsespeech

int main() {
  return sparsespeech::run_kernel_tests(
      {sparsespeech::test_every_input, sparsespeech::test_functions_alone, sparsespeech::test_sizes,
       sparsespeech::test_largest_sums, sparsespeech::test_peephole});
}
