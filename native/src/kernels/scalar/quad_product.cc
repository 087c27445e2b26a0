// Rule R3 for one input vector and a sparse matrix.

#include "functions.h"

namespace sparsespeech {

void scalar_quad_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                         const std::uint8_t* x, std::int32_t* acc) {
  const std::uint16_t* column = matrix.column.data();
  const std::int8_t* value = matrix.value.data();
  const std::uint32_t* row_start = matrix.row_start.data();
  const std::int32_t* bias = matrix.bias.data();
  for (std::size_t row = first; row < last; ++row) {
    const std::size_t end = std::size_t{row_start[row + 1]} * kQuad;
    // Two sums: the loads of four nonzeros overlap.
    std::int32_t even = bias[row], odd = 0;
    for (std::size_t i = std::size_t{row_start[row]} * kQuad; i < end; i += kQuad) {
      even += value[i] * x[column[i]] + value[i + 2] * x[column[i + 2]];
      odd += value[i + 1] * x[column[i + 1]] + value[i + 3] * x[column[i + 3]];
    }
    acc[row - first] = even + odd;
  }
}

}  // namespace sparsespeech
