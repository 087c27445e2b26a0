#include "sparsespeech/amx_agreement.h"

#if defined(__x86_64__)

#include <algorithm>
#include <cstdint>

#include "sparsespeech/kernels.h"

namespace sparsespeech {
namespace {

// Numbers without a pattern, the same each time (a linear congruence).
class Numbers {
 public:
  std::uint8_t byte() {
    state_ = state_ * 1664525U + 1013904223U;
    return static_cast<std::uint8_t>(state_ >> 24);
  }

 private:
  std::uint32_t state_ = 1;
};

DenseMatrix matrix_of(std::size_t rows, std::size_t columns, Numbers& numbers) {
  DenseMatrix matrix;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.stride = round_up(columns, DenseMatrix::kColumnMultiple);
  const std::size_t padded_rows = round_up(rows, kLanes);
  matrix.value = AlignedBuffer<std::int8_t>(padded_rows * matrix.stride);
  matrix.bias = AlignedBuffer<std::int32_t>(padded_rows);
  for (std::size_t row = 0; row < rows; ++row) {
    matrix.bias[row] = numbers.byte() * 65536 - 8388608;
    std::int8_t* weights = matrix.value.data() + row * matrix.stride;
    for (std::size_t column = 0; column < columns; ++column) {
      weights[column] = row == 0 ? std::int8_t{-128} : static_cast<std::int8_t>(numbers.byte());
    }
  }
  return matrix;
}

bool agree(std::size_t rows, std::size_t columns, std::size_t first, Numbers& numbers) {
  const DenseMatrix matrix = matrix_of(rows, columns, numbers);
  AlignedBuffer<std::uint8_t> x(matrix.stride * kTileColumns);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = i % kTileColumns == 0 ? std::uint8_t{255} : numbers.byte();
  }
  AlignedBuffer<std::int32_t> expected(rows * kTileColumns), acc(rows * kTileColumns);
  avx512_kernels().dense_tile_product(matrix, first, rows, x.data(), expected.data());
  amx_kernels().dense_tile_product(matrix, first, rows, x.data(), acc.data());
  return std::ranges::equal(expected.span(), acc.span());
}

}  // namespace

bool amx_agrees_with_avx512() {
  Numbers numbers;
  // Both tiles of rows full, the second one short, the first one short; one panel and two.
  return agree(32, 192, 0, numbers) && agree(29, 640, 0, numbers) && agree(21, 65, 16, numbers);
}

}  // namespace sparsespeech

#else

namespace sparsespeech {

bool amx_agrees_with_avx512() { return false; }

}  // namespace sparsespeech

#endif
