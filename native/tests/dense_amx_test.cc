// The AMX kernel, as compiled, against sums in 64 bits. Where the processor lacks AMX, its tile
// instructions are trapped and carried out by a model; where it has AMX, they run.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../src/kernels/amx/functions.h"
#include "sparsespeech/amx_agreement.h"
#include "sparsespeech/instruction_sets.h"
#include "sparsespeech/quad_matrix.h"
#include "tile_trap.h"

namespace sparsespeech {
namespace {

enum class Fill { kRandom, kLowest, kHighest };

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "dense_amx_test: %s\n", what);
  std::exit(1);
}

DenseMatrix matrix_of(std::size_t rows, std::size_t columns, Fill fill, std::mt19937& random) {
  std::vector<std::int64_t> row_start{0}, bias;
  std::vector<std::int32_t> column;
  std::vector<std::int8_t> value;
  std::vector<std::uint32_t> row_of_slot;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t c = 0; c < columns; ++c) {
      const auto byte = static_cast<std::int8_t>(random());
      column.push_back(static_cast<std::int32_t>(c));
      value.push_back(fill == Fill::kLowest ? -128 : fill == Fill::kHighest ? 127 : byte);
    }
    row_start.push_back(static_cast<std::int64_t>(value.size()));
    bias.push_back(static_cast<std::int64_t>(random() % 2000001) - 1000000);
    row_of_slot.push_back(static_cast<std::uint32_t>(rows - 1 - row));
  }
  return pack_dense({rows, columns, row_start, column, value, bias}, row_of_slot);
}

// Rows `first` to `last` of the matrix on 64 vectors; memory exactly as large as promised.
void check_product(const DenseMatrix& matrix, std::size_t first, std::size_t last, Fill fill,
                   std::mt19937& random) {
  std::vector<std::uint8_t> x(matrix.stride * kTileColumns);
  for (std::uint8_t& byte : x) byte = fill == Fill::kRandom ? random() % 256 : 255;
  std::vector<std::int32_t> acc((last - first) * kTileColumns, 12345);
  amx_dense_tile_product(matrix, first, last, x.data(), acc.data());
  check(!TileTrap::model().configured(), "the tiles are released");
  for (std::size_t row = first; row < last; ++row) {
    for (std::size_t n = 0; n < kTileColumns; ++n) {
      std::int64_t sum = matrix.bias[row];
      for (std::size_t c = 0; c < matrix.stride; ++c) {
        sum += std::int64_t{matrix.value[row * matrix.stride + c]} * x[c * kTileColumns + n];
      }
      if (acc[(row - first) * kTileColumns + n] == sum) continue;
      std::fprintf(stderr, "rows %zu to %zu of %zu x %zu, row %zu, column %zu: ", first, last,
                   matrix.rows, matrix.columns, row, n);
      check(false, "a wrong sum");
    }
  }
}

void check_sizes(std::mt19937& random) {
  // Every number of rows of a block.
  for (std::size_t rows = 1; rows <= 32; ++rows) {
    check_product(matrix_of(rows, 70, Fill::kRandom, random), 0, rows, Fill::kRandom, random);
  }
  // Every kind of length: part of a block of 64, whole blocks, one panel of 512, and more.
  for (const std::size_t columns : {1, 3, 63, 64, 65, 127, 128, 448, 511, 512, 513, 640, 1100}) {
    check_product(matrix_of(19, columns, Fill::kRandom, random), 0, 19, Fill::kRandom, random);
  }
  // Blocks inside a matrix.
  const DenseMatrix matrix = matrix_of(77, 130, Fill::kRandom, random);
  for (std::size_t first = 0; first < matrix.rows; first += 7) {
    for (const std::size_t rows : {0, 1, 16, 17, 32}) {
      check_product(matrix, first, std::min(first + rows, matrix.rows), Fill::kRandom, random);
    }
  }
}

void check_extremes(std::mt19937& random) {
  for (const Fill fill : {Fill::kLowest, Fill::kHighest}) {
    check_product(matrix_of(32, 1024, fill, random), 0, 32, Fill::kHighest, random);
  }
}

int run() {
  const std::vector<std::string> levels = instruction_sets();
  if (std::ranges::find(levels, "avx512") == levels.end()) {
    std::puts("dense_amx_test: skipped, the processor lacks AVX-512");
    return 0;
  }
  const bool native = std::ranges::find(levels, "amx") != levels.end();
  if (!native) TileTrap::install();
  std::mt19937 random(1);
  check_sizes(random);
  check_extremes(random);
  check(amx_agrees_with_avx512(), "amx_agrees_with_avx512");
  if (!native) {
    check(TileTrap::model().products() > 0, "the model was used");
    TileTrap::model().read_weights_unsigned(true);
    check(!amx_agrees_with_avx512(), "amx_agrees_with_avx512 notices wrong tiles");
  }
  std::printf("dense_amx_test: passed %s\n", native ? "on AMX" : "on the model of the tiles");
  return 0;
}

}  // namespace
}  // namespace sparsespeech

int main() { return sparsespeech::run(); }
