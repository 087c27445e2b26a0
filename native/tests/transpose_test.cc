// The moves between vectors, tiles and rows of accumulators of every kernel set, and that they
// write nothing else.

#include <string>
#include <vector>

#include "kernel_test.h"
#include "plain_matrix.h"

namespace sparsespeech {
namespace {

constexpr std::uint8_t kUntouched = 0x5A;

void check_block(const Kernels& kernels, std::size_t rows, std::size_t stride, Random& random) {
  constexpr std::int32_t kNoSum = -77;
  ExactBuffer<std::int32_t> acc(rows * kTileColumns);
  for (std::size_t i = 0; i < acc.size(); ++i) acc[i] = static_cast<std::int32_t>(random());
  const std::size_t size = (kTileColumns - 1) * stride + rows;
  ExactBuffer<std::int32_t> y(size, kNoSum);
  kernels.transpose_block(acc.data(), rows, stride, y.data());
  std::vector<std::int32_t> expected(size, kNoSum);
  for (std::size_t i = 0; i < acc.size(); ++i) {
    expected[i % kTileColumns * stride + i / kTileColumns] = acc[i];
  }
  expect_equal(kernels, "transpose_block of " + std::to_string(rows) + " rows", y.span(), expected);
}

void test_block(const Kernels& kernels) {
  Random random(1);
  for (std::size_t rows = 1; rows <= kRowsOfBlock; ++rows) {
    for (const std::size_t gap : {0, 1, 32, 2016}) check_block(kernels, rows, rows + gap, random);
  }
}

void check_tile(const Kernels& kernels, std::size_t count, std::size_t values, Random& random) {
  const std::string what = std::to_string(count) + " vectors of " + std::to_string(values);
  std::vector<ExactBuffer<std::uint8_t>> x, drained;
  std::vector<const std::uint8_t*> sources;
  std::vector<std::uint8_t*> targets;
  std::vector<std::uint8_t> expected(values * kTileColumns, 0);
  for (std::size_t n = 0; n < count; ++n) {
    ExactBuffer<std::uint8_t>& vector = x.emplace_back(values);
    for (std::size_t c = 0; c < values; ++c) {
      vector[c] = static_cast<std::uint8_t>(random());
      expected[c * kTileColumns + n] = vector[c];
    }
    sources.push_back(vector.data());
    targets.push_back(drained.emplace_back(values, kUntouched).data());
  }
  ExactBuffer<std::uint8_t> tile(values * kTileColumns, kUntouched);
  kernels.fill_tile(sources.data(), count, values, tile.data());
  expect_equal(kernels, "fill_tile, " + what, tile.span(), expected);

  for (std::size_t i = 0; i < tile.size(); ++i) {  // drain_tile must not look at other columns
    if (i % kTileColumns >= count) tile[i] = kUntouched;
  }
  kernels.drain_tile(tile.data(), count, values, targets.data());
  for (std::size_t n = 0; n < count; ++n) {
    const std::vector<std::uint8_t> vector(x[n].data(), x[n].data() + values);
    expect_equal(kernels, "drain_tile, " + what, drained[n].span(), vector);
  }
}

void test_tiles(const Kernels& kernels) {
  Random random(2);
  for (std::size_t count = 0; count <= kTileColumns; ++count) {
    for (const std::size_t values : sizes_around_vectors()) {
      check_tile(kernels, count, values, random);
    }
  }
  for (const std::size_t values : {494, 1000, 4096}) check_tile(kernels, 50, values, random);
}

}  // namespace
}  // namespace sparsespeech

int main() {
  return sparsespeech::run_kernel_tests({sparsespeech::test_block, sparsespeech::test_tiles});
}
