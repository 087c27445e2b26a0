// pack_dense against its rows, and the AVX-512 dense kernels against sums in 64 bits, in memory
// exactly as large as they may touch.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../src/kernels/avx512/functions.h"
#include "sparsespeech/instruction_sets.h"
#include "sparsespeech/kernels.h"

namespace sparsespeech {
namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "dense_product_test: %s\n", what);
  std::exit(1);
}

// A matrix with a nonzero in about half of its places, or in all.
struct Sparse {
  std::size_t rows, columns;
  std::vector<std::int64_t> row_start{0}, bias;
  std::vector<std::int32_t> column;
  std::vector<std::int8_t> value;

  Sparse(std::size_t row_count, std::size_t column_count, int every_weight, std::mt19937& random)
      : rows(row_count), columns(column_count) {
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t c = 0; c < columns; ++c) {
        if (every_weight == 0 && random() % 2 == 0) continue;
        column.push_back(static_cast<std::int32_t>(c));
        const int drawn = static_cast<int>(random() % 255) - 127;
        value.push_back(static_cast<std::int8_t>(every_weight != 0 ? every_weight
                                                 : drawn != 0      ? drawn
                                                                   : -128));
      }
      row_start.push_back(static_cast<std::int64_t>(value.size()));
      bias.push_back(static_cast<std::int64_t>(random() % 2000001) - 1000000);
    }
  }

  IntegerMatrix view() const { return {rows, columns, row_start, column, value, bias}; }

  std::int64_t weight(std::size_t row, std::size_t wanted) const {
    for (std::int64_t i = row_start[row]; i < row_start[row + 1]; ++i) {
      if (column[i] == static_cast<std::int32_t>(wanted)) return value[i];
    }
    return 0;
  }
};

void check_packing(std::mt19937& random) {
  const Sparse sparse(37, 70, 0, random);
  std::vector<std::uint32_t> slots(40, kEmptySlot);
  for (std::uint32_t row = 0; row < 37; ++row) slots[row < 20 ? 36 - row : row + 3 - 20] = row;
  const DenseMatrix dense = pack_dense(sparse.view(), slots);
  check(dense.rows == 40 && dense.columns == 70 && dense.stride == 128, "sizes");
  check(dense.value.size() == 48 * 128 && dense.bias.size() == 48, "rows to a multiple of 16");
  std::size_t nonzeros = 0;
  for (std::size_t slot = 0; slot < 48; ++slot) {
    const std::uint32_t row = slot < 40 ? slots[slot] : kEmptySlot;
    for (std::size_t c = 0; c < 128; ++c) {
      const std::int64_t expected = row == kEmptySlot ? 0 : sparse.weight(row, c);
      check(dense.value[slot * 128 + c] == expected, "weights, zero where none are stored");
      nonzeros += dense.value[slot * 128 + c] != 0;
    }
    check(dense.bias[slot] == (row == kEmptySlot ? 0 : sparse.bias[row]), "biases");
  }
  check(nonzeros == dense.nonzeros, "the number of nonzeros");
}

void check_products(const DenseMatrix& matrix, std::size_t first, std::size_t last, int every_byte,
                    std::mt19937& random) {
  std::vector<std::uint8_t> tile(matrix.stride * kTileColumns), vector(matrix.stride);
  for (std::uint8_t& byte : tile) byte = every_byte < 0 ? random() % 256 : every_byte;
  for (std::size_t c = 0; c < matrix.stride; ++c) vector[c] = tile[c * kTileColumns + 17];
  const std::size_t rows = last - first;
  std::vector<std::int32_t> sums(rows, 12345), block(rows * kTileColumns, 12345);
  avx512_dense_product(matrix, first, last, vector.data(), sums.data());
  avx512_dense_tile_product(matrix, first, last, tile.data(), block.data());
  for (std::size_t row = 0; row < rows; ++row) {
    const std::int8_t* weights = matrix.value.data() + (first + row) * matrix.stride;
    for (std::size_t n = 0; n < kTileColumns; ++n) {
      std::int64_t sum = matrix.bias[first + row];
      for (std::size_t c = 0; c < matrix.stride; ++c) {
        sum += std::int64_t{weights[c]} * tile[c * kTileColumns + n];
      }
      check(block[row * kTileColumns + n] == sum, "avx512_dense_tile_product");
      check(n != 17 || sums[row] == sum, "avx512_dense_product");
    }
  }
}

DenseMatrix packed(std::size_t rows, std::size_t columns, int every_weight, std::mt19937& random) {
  std::vector<std::uint32_t> slots(rows);
  for (std::size_t row = 0; row < rows; ++row) slots[row] = static_cast<std::uint32_t>(row);
  return pack_dense(Sparse(rows, columns, every_weight, random).view(), slots);
}

void check_kernels(std::mt19937& random) {
  const DenseMatrix matrix = packed(77, 130, 0, random);
  for (std::size_t first = 0; first < matrix.rows; first += 5) {
    for (std::size_t rows = 0; rows <= 32; rows += first == 0 ? 1 : 8) {
      check_products(matrix, first, std::min(first + rows, matrix.rows), -1, random);
    }
  }
  for (const std::size_t columns : {1, 15, 16, 17, 63, 64, 65, 127, 129, 511, 512, 513, 1100}) {
    check_products(packed(19, columns, 0, random), 0, 19, -1, random);
  }
  for (const int weight : {-128, -127, 127}) {
    check_products(packed(32, 1024, weight, random), 0, 32, 255, random);
  }
}

int run() {
  std::mt19937 random(1);
  check_packing(random);
  const std::vector<std::string> levels = instruction_sets();
  if (std::ranges::find(levels, "avx512") == levels.end()) {
    std::puts("dense_product_test: kernels skipped, the processor lacks AVX-512");
    return 0;
  }
  check_kernels(random);
  std::puts("dense_product_test: passed");
  return 0;
}

}  // namespace
}  // namespace sparsespeech

int main() { return sparsespeech::run(); }
