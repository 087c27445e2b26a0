// Rule R3 for a tile of 64 input vectors and a sparse matrix.

#include "functions.h"

namespace sparsespeech {

void scalar_quad_tile_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                              const std::uint8_t* x, std::int32_t* acc) {
  const std::uint16_t* column = matrix.column.data();
  const std::int8_t* value = matrix.value.data();
  const std::uint32_t* row_start = matrix.row_start.data();
  const std::int32_t* bias = matrix.bias.data();
  for (std::size_t row = first; row < last; ++row) {
    std::int32_t sum[kTileColumns];  // local: the compiler knows that it overlaps nothing
    for (std::size_t n = 0; n < kTileColumns; ++n) sum[n] = bias[row];
    const std::size_t end = std::size_t{row_start[row + 1]} * kQuad;
    for (std::size_t i = std::size_t{row_start[row]} * kQuad; i < end; ++i) {
      const std::uint8_t* xi = x + std::size_t{column[i]} * kTileColumns;
      const std::int16_t weight = value[i];
      for (std::size_t n = 0; n < kTileColumns; ++n) {
        // |w * x| <= 128 * 255 < 2^15: a 16-bit product, for which every processor has a vector.
        sum[n] += static_cast<std::int16_t>(weight * xi[n]);
      }
    }
    std::int32_t* out = acc + (row - first) * kTileColumns;
    for (std::size_t n = 0; n < kTileColumns; ++n) out[n] = sum[n];
  }
}

}  // namespace sparsespeech
