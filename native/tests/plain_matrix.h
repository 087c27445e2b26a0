// A matrix with its zeros, its plain product (rule R3), and the ways to draw one.

#ifndef SPARSESPEECH_TESTS_PLAIN_MATRIX_H_
#define SPARSESPEECH_TESTS_PLAIN_MATRIX_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "kernel_test.h"

namespace sparsespeech {

// The columns of the tiles are called n; x holds `values` rows of `columns` values.
struct PlainInput {
  std::size_t values, columns;
  std::vector<std::uint8_t> x;  // [values][columns]

  std::uint8_t at(std::size_t value, std::size_t n) const { return x[value * columns + n]; }
};

class PlainMatrix {
 public:
  PlainMatrix(std::size_t rows, std::size_t columns)
      : rows_(rows), columns_(columns), weight_(rows * columns), bias_(rows) {}

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  std::int8_t& weight(std::size_t row, std::size_t column) {
    return weight_[row * columns_ + column];
  }
  std::int64_t& bias(std::size_t row) { return bias_[row]; }

  // Compressed rows, for the packers; valid until the next call.
  IntegerMatrix compressed() {
    row_start_.assign(1, 0);
    column_.clear();
    value_.clear();
    for (std::size_t i = 0; i < weight_.size(); ++i) {
      if (weight_[i] != 0) {
        column_.push_back(static_cast<std::int32_t>(i % columns_));
        value_.push_back(weight_[i]);
      }
      if (i % columns_ == columns_ - 1) {
        row_start_.push_back(static_cast<std::int64_t>(value_.size()));
      }
    }
    return {rows_, columns_, row_start_, column_, value_, bias_};
  }

  // [slots][input.columns]; an empty slot gives zeros. R3.
  std::vector<std::int32_t> product(std::span<const std::uint32_t> row_of_slot,
                                    const PlainInput& input) const {
    std::vector<std::int32_t> acc;
    for (const std::uint32_t row : row_of_slot) {
      std::vector<std::int64_t> sums(input.columns, row == kEmptySlot ? 0 : bias_[row]);
      for (std::size_t c = 0; row != kEmptySlot && c < columns_; ++c) {
        const std::int64_t w = weight_[row * columns_ + c];
        if (w == 0) continue;
        for (std::size_t n = 0; n < input.columns; ++n) sums[n] += w * input.at(c, n);
      }
      for (const std::int64_t sum : sums) acc.push_back(static_cast<std::int32_t>(sum));
    }
    return acc;
  }

 private:
  std::size_t rows_, columns_;
  std::vector<std::int8_t> weight_;
  std::vector<std::int64_t> bias_;
  std::vector<std::int64_t> row_start_;
  std::vector<std::int32_t> column_;
  std::vector<std::int8_t> value_;
};

// Rows without nonzeros, with one, with all and with a random share, and biases of all sizes.
inline PlainMatrix random_matrix(std::size_t rows, std::size_t columns, Random& random) {
  PlainMatrix matrix(rows, columns);
  for (std::size_t row = 0; row < rows; ++row) {
    matrix.bias(row) = draw(random, -1000000000, 1000000000);
    if (row % 8 == 3) continue;  // an empty row
    if (row % 8 == 5) {
      const auto column = static_cast<std::size_t>(draw(random, 0, static_cast<int>(columns) - 1));
      matrix.weight(row, column) = -128;
      continue;
    }
    const std::int64_t percent = row % 8 == 1 ? 100 : draw(random, 1, 30);
    for (std::size_t column = 0; column < columns; ++column) {
      if (draw(random, 1, 100) > percent) continue;
      matrix.weight(row, column) = static_cast<std::int8_t>(draw(random, -128, 127));
    }
  }
  return matrix;
}

// All weights alike, and biases that take the sum with x = 255 to the end of int32 (row 0: to
// +-(2^31 - 1) exactly; further rows one less each).
inline PlainMatrix extreme_matrix(std::size_t rows, std::size_t columns, std::int8_t weight) {
  PlainMatrix matrix(rows, columns);
  const std::int64_t products = std::int64_t{255} * weight * static_cast<std::int64_t>(columns);
  const std::int64_t end = std::numeric_limits<std::int32_t>::max();
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) matrix.weight(row, column) = weight;
    const std::int64_t room = end - static_cast<std::int64_t>(row);
    matrix.bias(row) = weight < 0 ? -room - products : room - products;
  }
  return matrix;
}

inline PlainInput constant_input(std::size_t values, std::size_t columns, std::uint8_t value) {
  return {values, columns, std::vector<std::uint8_t>(values * columns, value)};
}

inline PlainInput random_input(std::size_t values, std::size_t columns, Random& random) {
  PlainInput input = constant_input(values, columns, 0);
  for (std::uint8_t& value : input.x) value = static_cast<std::uint8_t>(draw(random, 0, 255));
  return input;
}

// The rows in random order, then empty slots up to a multiple.
inline std::vector<std::uint32_t> shuffled_rows(std::size_t rows, std::size_t multiple,
                                                Random& random) {
  std::vector<std::uint32_t> slots(round_up(rows, multiple), kEmptySlot);
  for (std::size_t row = 0; row < rows; ++row) slots[row] = static_cast<std::uint32_t>(row);
  std::shuffle(slots.begin(), slots.end(), random);
  return slots;
}

// Sizes on both sides of the widths that kernels work in.
inline std::vector<std::size_t> sizes_around_vectors() {
  std::vector<std::size_t> sizes{1, 2, 3, 4, 5, 7, 8, 9};
  for (const std::size_t width : {16, 32, 64, 128}) {
    sizes.insert(sizes.end(), {width - 1, width, width + 1});
  }
  return sizes;
}

}  // namespace sparsespeech

#endif  // SPARSESPEECH_TESTS_PLAIN_MATRIX_H_
