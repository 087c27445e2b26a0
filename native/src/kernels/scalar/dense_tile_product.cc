// Rule R3 for a tile of 64 input vectors and a dense matrix.

#include "functions.h"

namespace sparsespeech {

void scalar_dense_tile_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                               const std::uint8_t* x, std::int32_t* acc) {
  const std::size_t stride = matrix.stride;
  const std::int32_t* bias = matrix.bias.data();
  for (std::size_t row = first; row < last; ++row) {
    const std::int8_t* value = matrix.value.data() + row * stride;
    std::int32_t sum[kTileColumns];  // local: the compiler knows that it overlaps nothing
    for (std::size_t n = 0; n < kTileColumns; ++n) sum[n] = bias[row];
    for (std::size_t c = 0; c < stride; ++c) {
      const std::uint8_t* xc = x + c * kTileColumns;
      const std::int16_t weight = value[c];
      for (std::size_t n = 0; n < kTileColumns; ++n) {
        // |w * x| <= 128 * 255 < 2^15: a 16-bit product, for which every processor has a vector.
        sum[n] += static_cast<std::int16_t>(weight * xc[n]);
      }
    }
    std::int32_t* out = acc + (row - first) * kTileColumns;
    for (std::size_t n = 0; n < kTileColumns; ++n) out[n] = sum[n];
  }
}

}  // namespace sparsespeech
