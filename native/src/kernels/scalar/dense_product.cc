// Rule R3 for one input vector and a dense matrix.

#include "functions.h"

namespace sparsespeech {

void scalar_dense_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                          const std::uint8_t* x, std::int32_t* acc) {
  const std::size_t stride = matrix.stride;
  const std::int32_t* bias = matrix.bias.data();
  for (std::size_t row = first; row < last; ++row) {
    const std::int8_t* value = matrix.value.data() + row * stride;
    std::int32_t sum = bias[row];
    for (std::size_t c = 0; c < stride; ++c) sum += value[c] * x[c];
    acc[row - first] = sum;
  }
}

}  // namespace sparsespeech
