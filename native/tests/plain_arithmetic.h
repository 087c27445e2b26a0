// The rules of src/sparsespeech/integer_arithmetic/spec.md, written down once more in 64 bits with
// divisions in place of shifts: what the kernels are compared with.

#ifndef SPARSESPEECH_TESTS_PLAIN_ARITHMETIC_H_
#define SPARSESPEECH_TESTS_PLAIN_ARITHMETIC_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace sparsespeech::plain {

// floor(numerator / denominator) of a positive denominator
inline std::int64_t floor_divide(std::int64_t numerator, std::int64_t denominator) {
  const std::int64_t quotient = numerator / denominator;
  return numerator % denominator < 0 ? quotient - 1 : quotient;
}

inline std::int64_t power_of_two(std::int64_t exponent) { return std::int64_t{1} << exponent; }

inline std::int64_t saturate16(std::int64_t value) {
  return std::clamp<std::int64_t>(value, -32768, 32767);
}

// R4'
inline std::int64_t rescaled(std::int64_t acc, std::int64_t multiplier, std::int64_t shift) {
  return floor_divide(acc * multiplier + power_of_two(shift - 1), power_of_two(shift));
}

// R4
inline std::int64_t requantized(std::int64_t acc, std::int64_t multiplier, std::int64_t shift,
                                std::int64_t zero_point, std::int64_t low, std::int64_t high) {
  return std::clamp(rescaled(acc, multiplier, shift) + zero_point, low, high);
}

// R6: the tables, from the definition.
struct Table {
  std::array<std::int16_t, 65> base{};
  std::array<std::int16_t, 64> slope{};

  Table() {
    for (std::size_t k = 0; k < base.size(); ++k) {
      const long double sigma = 1 / (1 + std::exp(-static_cast<long double>(k) / 8));
      base[k] = static_cast<std::int16_t>(std::floor(32768 * sigma + 0.5L));
    }
    for (std::size_t k = 0; k < slope.size(); ++k) {
      slope[k] = static_cast<std::int16_t>(base[k + 1] - base[k]);
    }
  }
};

inline std::int64_t sigmoid(std::int64_t x, const Table& table) {
  if (x < 0) return 32768 - sigmoid(-x, table);
  if (x >= 16384) return table.base[64];
  const auto k = static_cast<std::size_t>(x / 256);
  return table.base[k] + floor_divide(table.slope[k] * (x % 256) + 128, 256);
}

inline std::int64_t tanh(std::int64_t x, const Table& table) {
  return 2 * sigmoid(saturate16(2 * x), table) - 32768;
}

// One unit of a cell. `sums` are the gates i, f, g, o before saturation; `peephole` the weights of
// i, f, o, zeros without one.
struct Unit {
  std::array<std::int64_t, 4> sums{};
  std::array<std::int64_t, 3> peephole{};
  std::int64_t multiplier = 32768, shift = 1;
  std::int64_t cell = 0;
};

struct UnitResult {
  std::int64_t cell, h;
};

inline UnitResult step(const Unit& unit, const Table& table) {
  const auto gate = [&](std::size_t index, std::int64_t weight, std::int64_t cell) {
    const std::int64_t term = rescaled(weight * cell, unit.multiplier, unit.shift);
    return saturate16(unit.sums[index] + term);  // R5
  };
  const std::int64_t i = sigmoid(gate(0, unit.peephole[0], unit.cell), table);
  const std::int64_t f = sigmoid(gate(1, unit.peephole[1], unit.cell), table);
  const std::int64_t g = tanh(gate(2, 0, 0), table);
  const std::int64_t cell =
      saturate16(floor_divide(f * unit.cell + floor_divide(i * g + 8, 16) + 16384, 32768));  // R7
  const std::int64_t o = sigmoid(gate(3, unit.peephole[2], cell), table);
  const std::int64_t m = floor_divide(o * tanh(cell, table) + 16384, 32768);  // R8
  return {cell, std::clamp<std::int64_t>(rescaled(m, 65024, 24) + 128, 0, 255)};
}

}  // namespace sparsespeech::plain

#endif  // SPARSESPEECH_TESTS_PLAIN_ARITHMETIC_H_
