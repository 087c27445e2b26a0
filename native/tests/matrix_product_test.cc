// Rule R3: the products of every kernel set, by every packed form, against sums in 64 bits.

#include <string>
#include <vector>

#include "kernel_test.h"
#include "plain_arithmetic.h"
#include "plain_matrix.h"

namespace sparsespeech {
namespace {

using Slots = std::vector<std::uint32_t>;

std::string description(const char* kernel, const PlainMatrix& matrix, std::size_t first,
                        std::size_t last) {
  return std::string(kernel) + " " + std::to_string(matrix.rows()) + " x " +
         std::to_string(matrix.columns()) + ", rows " + std::to_string(first) + " to " +
         std::to_string(last);
}

// The first rows or slots of a range, as the engine may choose them: all, none, and inner ones.
std::vector<std::pair<std::size_t, std::size_t>> ranges(std::size_t size, std::size_t multiple) {
  const std::size_t third = size / multiple / 3 * multiple;
  return {{0, size}, {third, size}, {third, size - third}, {third, third}};
}

std::vector<std::int32_t> part(const std::vector<std::int32_t>& all, std::size_t first,
                               std::size_t last) {
  return {all.begin() + static_cast<std::ptrdiff_t>(first),
          all.begin() + static_cast<std::ptrdiff_t>(last)};
}

// `input` in memory that ends with it, padded with arbitrary bytes to `values` rows.
ExactBuffer<std::uint8_t> in_memory(const PlainInput& input, std::size_t values) {
  ExactBuffer<std::uint8_t> x(values * input.columns, 0xA5);
  std::copy(input.x.begin(), input.x.end(), x.data());
  return x;
}

// One input vector: quad, dense and sweep form.
void check_vector(const Kernels& kernels, PlainMatrix& matrix, const Slots& slots,
                  const PlainInput& input) {
  const std::vector<std::int32_t> expected = matrix.product(slots, input);
  const QuadMatrix quads = pack_quads(matrix.compressed(), slots);
  const DenseMatrix dense = pack_dense(matrix.compressed(), slots);
  const ExactBuffer<std::uint8_t> x = in_memory(input, matrix.columns());
  const ExactBuffer<std::uint8_t> padded = in_memory(input, dense.stride);
  for (const auto& [first, last] : ranges(slots.size(), 1)) {
    ExactBuffer<std::int32_t> acc(last - first, -1);
    kernels.quad_product(quads, first, last, x.data(), acc.data());
    expect_equal(kernels, description("quad_product", matrix, first, last), acc.span(),
                 part(expected, first, last));
    ExactBuffer<std::int32_t> sums(last - first, -1);
    kernels.dense_product(dense, first, last, padded.data(), sums.data());
    expect_equal(kernels, description("dense_product", matrix, first, last), sums.span(),
                 part(expected, first, last));
  }
}

// The sums of a sweep, by themselves and in one with gate_sums.
void check_swept(const Kernels& kernels, const SweepMatrix& sweep, SweepOrder order,
                 const std::uint8_t* copies, const std::vector<std::int32_t>& expected,
                 const std::string& what) {
  ExactBuffer<std::int32_t> acc(sweep.slots, -1);
  kernels.sweep_product(sweep, order, copies, acc.data());
  expect_equal(kernels, what, acc.span(), expected);

  // R5 with a pair for each slot, or the first one for all; destinations run backwards.
  const std::size_t stride = order == SweepOrder::kForward ? 0 : 1;
  std::vector<std::int32_t> multiplier, shift, expected_sums(sweep.slots);
  std::vector<std::int16_t> stored;
  std::vector<std::uint16_t> destination;
  for (std::size_t slot = 0; slot < sweep.slots; ++slot) {
    multiplier.push_back(static_cast<std::int32_t>(32768 + slot * 97 % 32768));
    shift.push_back(static_cast<std::int32_t>(17 + slot % 7));
    stored.push_back(static_cast<std::int16_t>(slot * 977));
    const std::size_t place = sweep.slots - 1 - slot;
    destination.push_back(static_cast<std::uint16_t>(place));
    expected_sums[place] = static_cast<std::int32_t>(
        stored[slot] +
        plain::rescaled(expected[slot], multiplier[slot * stride], shift[slot * stride]));
  }
  ExactBuffer<std::int32_t> sums(sweep.slots, -1);
  kernels.sweep_gate_sums(sweep, order, copies, stored.data(),
                          {multiplier.data(), shift.data(), stride}, destination.data(),
                          sums.data());
  expect_equal(kernels, what + " with gate sums", sums.span(), expected_sums);
}

void check_sweep(const Kernels& kernels, PlainMatrix& matrix, const PlainInput& input,
                 Random& random) {
  if (kernels.sweep_product == nullptr) return;
  ExactBuffer<std::uint8_t> copies(window_copies_bytes(matrix.columns()));
  load_window_copies(input.x, copies.data());
  std::vector<std::size_t> windows{192, 256};
  if (kernels.sweep_window < 192) windows.insert(windows.end(), {64, 96, 128});
  for (const std::size_t window : windows) {
    for (const std::size_t groups : {1, 2, 4}) {
      const Slots slots = shuffled_rows(matrix.rows(), kLanes * groups, random);
      const SweepMatrix sweep = pack_sweep(matrix.compressed(), slots, {window, groups});
      const std::vector<std::int32_t> expected = matrix.product(slots, input);
      for (const SweepOrder order : {SweepOrder::kForward, SweepOrder::kBackward}) {
        check_swept(kernels, sweep, order, copies.data(), expected,
                    description("sweep_product", matrix, 0, slots.size()));
      }
    }
  }
}

// A tile of 64 input vectors: quad and dense form, in blocks of at most kRowsOfBlock rows.
void check_tile(const Kernels& kernels, PlainMatrix& matrix, const Slots& slots,
                const PlainInput& input) {
  const std::vector<std::int32_t> expected = matrix.product(slots, input);
  const QuadMatrix quads = pack_quads(matrix.compressed(), slots);
  const DenseMatrix dense = pack_dense(matrix.compressed(), slots);
  const ExactBuffer<std::uint8_t> x = in_memory(input, matrix.columns());
  const ExactBuffer<std::uint8_t> padded = in_memory(input, dense.stride);
  for (auto [first, last] : ranges(slots.size(), 1)) {
    last = std::min(last, first + kRowsOfBlock);
    const std::vector<std::int32_t> block =
        part(expected, first * kTileColumns, last * kTileColumns);
    ExactBuffer<std::int32_t> acc(block.size(), -1);
    kernels.quad_tile_product(quads, first, last, x.data(), acc.data());
    expect_equal(kernels, description("quad_tile_product", matrix, first, last), acc.span(), block);
    ExactBuffer<std::int32_t> sums(block.size(), -1);
    kernels.dense_tile_product(dense, first, last, padded.data(), sums.data());
    expect_equal(kernels, description("dense_tile_product", matrix, first, last), sums.span(),
                 block);
  }
}

void check_matrix(const Kernels& kernels, PlainMatrix matrix, const PlainInput& vector,
                  const PlainInput& tile, Random& random) {
  const Slots slots = shuffled_rows(matrix.rows(), 1, random);
  check_vector(kernels, matrix, slots, vector);
  check_sweep(kernels, matrix, vector, random);
  check_tile(kernels, matrix, slots, tile);
}

void test_random(const Kernels& kernels) {
  Random random(1);
  for (const std::size_t columns : sizes_around_vectors()) {
    check_matrix(kernels, random_matrix(37, columns, random), random_input(columns, 1, random),
                 random_input(columns, kTileColumns, random), random);
  }
  for (const std::size_t rows : sizes_around_vectors()) {
    check_matrix(kernels, random_matrix(rows, 70, random), random_input(70, 1, random),
                 random_input(70, kTileColumns, random), random);
  }
}

// Every sum at the end of its range: all nonzeros, all inputs 255 or 0.
void test_extremes(const Kernels& kernels) {
  Random random(2);
  for (const std::size_t columns : {1, 31, 64, 130, 1000}) {
    for (const int weight : {-128, -127, 127}) {
      const PlainMatrix matrix = extreme_matrix(19, columns, static_cast<std::int8_t>(weight));
      for (const int value : {255, 0}) {
        const auto x = static_cast<std::uint8_t>(value);
        check_matrix(kernels, matrix, constant_input(columns, 1, x),
                     constant_input(columns, kTileColumns, x), random);
      }
    }
  }
}

// Rows longer than any block that a kernel works in, beside short ones; windows far apart.
void test_long_rows(const Kernels& kernels) {
  Random random(3);
  for (const std::size_t columns : {5000, 20001}) {
    check_matrix(kernels, random_matrix(9, columns, random), random_input(columns, 1, random),
                 random_input(columns, kTileColumns, random), random);
  }
  constexpr std::size_t kMostColumns = 65536;
  PlainMatrix ends(5, kMostColumns);
  for (std::size_t row = 0; row < ends.rows(); ++row) {
    ends.weight(row, row % 2 == 0 ? 0 : kMostColumns - 1) = static_cast<std::int8_t>(row + 1);
  }
  check_matrix(kernels, ends, random_input(kMostColumns, 1, random),
               random_input(kMostColumns, kTileColumns, random), random);
}

// Many rows: more quads than a block, its ends at any place of a row.
void test_many_rows(const Kernels& kernels) {
  Random random(4);
  PlainMatrix matrix = random_matrix(700, 90, random);
  for (int repeat = 0; repeat < 3; ++repeat) {
    const Slots slots = shuffled_rows(matrix.rows(), 1, random);
    check_vector(kernels, matrix, slots, random_input(90, 1, random));
  }
  check_sweep(kernels, matrix, random_input(90, 1, random), random);
}

// Slots without a row, alone and between rows.
void test_empty_slots(const Kernels& kernels) {
  Random random(5);
  PlainMatrix matrix = random_matrix(21, 50, random);
  for (const std::size_t multiple : {64, 128}) {
    const Slots slots = shuffled_rows(matrix.rows(), multiple, random);
    check_vector(kernels, matrix, slots, random_input(50, 1, random));
    check_tile(kernels, matrix, slots, random_input(50, kTileColumns, random));
  }
  PlainMatrix zeros(32, 50);
  check_matrix(kernels, zeros, random_input(50, 1, random), random_input(50, kTileColumns, random),
               random);
}

}  // namespace
}  // namespace sparsespeech

int main() {
  return sparsespeech::run_kernel_tests({sparsespeech::test_random, sparsespeech::test_extremes,
                                         sparsespeech::test_long_rows, sparsespeech::test_many_rows,
                                         sparsespeech::test_empty_slots});
}
