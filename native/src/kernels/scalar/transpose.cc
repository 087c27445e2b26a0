// Between vectors and tiles of 64 columns, and from a block of accumulators to rows of vectors.

#include "functions.h"

namespace sparsespeech {

void scalar_transpose_block(const std::int32_t* acc, std::size_t rows, std::size_t stride,
                            std::int32_t* y) {
  for (std::size_t n = 0; n < kTileColumns; ++n) {
    for (std::size_t r = 0; r < rows; ++r) y[n * stride + r] = acc[r * kTileColumns + n];
  }
}

void scalar_fill_tile(const std::uint8_t* const* x, std::size_t count, std::size_t values,
                      std::uint8_t* y) {
  for (std::size_t c = 0; c < values; ++c) {
    std::uint8_t* row = y + c * kTileColumns;
    for (std::size_t n = 0; n < count; ++n) row[n] = x[n][c];
    for (std::size_t n = count; n < kTileColumns; ++n) row[n] = 0;
  }
}

void scalar_drain_tile(const std::uint8_t* x, std::size_t count, std::size_t values,
                       std::uint8_t* const* y) {
  for (std::size_t n = 0; n < count; ++n) {
    for (std::size_t c = 0; c < values; ++c) y[n][c] = x[c * kTileColumns + n];
  }
}

}  // namespace sparsespeech
