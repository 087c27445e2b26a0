// Rule R3 for a tile of 64 input vectors and a sparse matrix.

#include "functions.h"

namespace sparsespeech {
namespace {

// Columns worked on at once: few enough that a compiler keeps their sums in registers, which is
// four times faster than rows of 64.
constexpr std::size_t kStrip = 16;

struct StripSums {
  std::int32_t sum[kStrip];

  explicit StripSums(std::int32_t bias) {
    for (std::int32_t& value : sum) value = bias;
  }

  // Adds four weights times four rows of the strip.
  void add(const std::int8_t* w, const std::uint8_t* x0, const std::uint8_t* x1,
           const std::uint8_t* x2, const std::uint8_t* x3) {
    const std::int32_t w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3];
    for (std::size_t n = 0; n < kStrip; ++n) {
      sum[n] += w0 * x0[n] + w1 * x1[n] + w2 * x2[n] + w3 * x3[n];
    }
  }

  void store(std::int32_t* out) const {
    for (std::size_t n = 0; n < kStrip; ++n) out[n] = sum[n];
  }
};

}  // namespace

void scalar_quad_tile_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                              const std::uint8_t* x, std::int32_t* acc) {
  const std::uint16_t* column = matrix.column.data();
  const std::int8_t* value = matrix.value.data();
  const std::uint32_t* row_start = matrix.row_start.data();
  const std::int32_t* bias = matrix.bias.data();
  for (std::size_t row = first; row < last; ++row) {
    const std::size_t begin = std::size_t{row_start[row]} * kQuad;
    const std::size_t end = std::size_t{row_start[row + 1]} * kQuad;
    for (std::size_t n = 0; n < kTileColumns; n += kStrip) {
      const auto input = [&](std::size_t i) { return x + column[i] * kTileColumns + n; };
      StripSums sums(bias[row]);
      for (std::size_t i = begin; i < end; i += kQuad) {
        sums.add(value + i, input(i), input(i + 1), input(i + 2), input(i + 3));
      }
      sums.store(acc + (row - first) * kTileColumns + n);
    }
  }
}

}  // namespace sparsespeech
