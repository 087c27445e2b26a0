// Rule R5: the stored input part, saturated on its own.

#include "fixed_point.h"
#include "functions.h"

namespace sparsespeech {

void scalar_store_gates(const std::int32_t* acc, std::size_t rows, Rescale rescale,
                        std::size_t columns, std::size_t stride, std::int16_t* y) {
  for (std::size_t n = 0; n < columns; ++n) {
    for (std::size_t r = 0; r < rows; ++r) {
      y[n * stride + r] = saturate16(rescaled(acc[r * kTileColumns + n], rescale, r));
    }
  }
}

}  // namespace sparsespeech
