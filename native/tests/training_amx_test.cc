// The dense bf16 product by AMX tiles, as compiled, against sums in double precision. Where the
// processor lacks AMX, its tile instructions are trapped and carried out by a model.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "../src/kernels/amx_bf16/functions.h"
#include "kernel_test.h"
#include "sparsespeech/instruction_sets.h"
#include "sparsespeech/training.h"
#include "tile_trap.h"

namespace sparsespeech {
namespace {

std::uint16_t upper_half(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<std::uint16_t>(bits >> 16);
}

double real_of(std::uint16_t half) {
  const std::uint32_t bits = std::uint32_t{half} << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Numbers that bf16 holds, so that rounding x changes nothing.
float short_number(Random& random) { return static_cast<float>(draw(random, -64, 64)) / 64; }

// out holds something before: the product is added. Memory exactly as large as promised.
void check_product(std::size_t rows, std::size_t columns, std::size_t lanes, Random& random) {
  ExactBuffer<std::uint16_t> matrix(rows * columns);
  for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] = upper_half(short_number(random));
  ExactBuffer<float> x(columns * lanes), out(rows * lanes);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = short_number(random);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = short_number(random);
  std::vector<double> expected(out.span().begin(), out.span().end());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    for (std::size_t c = 0; c < columns; ++c) {
      expected[i] += real_of(matrix[i / lanes * columns + c]) * x[c * lanes + i % lanes];
    }
  }
  ExactBuffer<std::uint32_t> pairs(columns / 2 * lanes);
  amx_bf16_dense_product(matrix.data(), rows, columns, x.data(), lanes, pairs.data(), out.data());
  if (TileTrap::model().configured()) {
    std::puts("the tiles are not released");
    ++failures;
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::abs(out[i] - expected[i]) <= 1e-5 * static_cast<double>(columns)) continue;
    std::printf("%zu x %zu, %zu lanes: value %zu is %g, expected %g\n", rows, columns, lanes, i,
                out[i], expected[i]);
    ++failures;
    return;
  }
}

void check_sizes() {
  Random random(1);
  for (const std::size_t lanes : {16, 32, 48, 64}) {
    // Whole blocks of 64 and 32 rows, and what is left of them; one tile of columns and more.
    for (const std::size_t rows : {16, 32, 48, 64, 80, 128, 144}) {
      for (const std::size_t columns : {32, 64, 160}) check_product(rows, columns, lanes, random);
    }
    // No whole tiles: the kernel without tiles does it.
    check_product(24, 32, lanes, random);
    check_product(32, 6, lanes, random);
  }
}

}  // namespace
}  // namespace sparsespeech

int main() {
  using sparsespeech::TileTrap;
  if (!sparsespeech::training_available()) {
    std::puts("training_amx_test: skipped, no training kernels for this processor");
    return 0;
  }
  const std::vector<std::string> levels = sparsespeech::instruction_sets();
  const bool native = std::ranges::find(levels, "amx") != levels.end();
  if (!native) TileTrap::install();
  sparsespeech::check_sizes();
  if (!native && TileTrap::model().products() == 0) {
    std::puts("training_amx_test: the model was not used");
    return 1;
  }
  if (sparsespeech::failures != 0) return 1;
  std::printf("training_amx_test: passed %s\n", native ? "on AMX" : "on the model of the tiles");
  return 0;
}
