// Rule R3 for one input vector and a dense matrix.
//
// 16-bit products in pairs: the byte form (maddubs) saturates at 2^15 and is wrong.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

__m128i load_bytes(const void* data) { return _mm_loadu_si128(static_cast<const __m128i*>(data)); }

std::int32_t lane_sum(__m256i lanes) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1));
  return _mm_cvtsi128_si32(sum);
}

// kRows rows share the widened input.
template <std::size_t kRows>
void rows_product(const std::int8_t* value, std::size_t stride, const std::int32_t* bias,
                  const std::uint8_t* x, std::int32_t* acc) {
  __m256i sum[kRows] = {};
  for (std::size_t c = 0; c < stride; c += 16) {
    const __m256i input = _mm256_cvtepu8_epi16(load_bytes(x + c));
    for (std::size_t r = 0; r < kRows; ++r) {
      const __m256i weights = _mm256_cvtepi8_epi16(load_bytes(value + r * stride + c));
      sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(input, weights));
    }
  }
  for (std::size_t r = 0; r < kRows; ++r) acc[r] = bias[r] + lane_sum(sum[r]);
}

}  // namespace

void avx2_dense_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                        const std::uint8_t* x, std::int32_t* acc) {
  const std::size_t stride = matrix.stride;
  const std::int8_t* value = matrix.value.data();
  const std::int32_t* bias = matrix.bias.data();
  std::size_t row = first;
  for (; row + 8 <= last; row += 8) {
    rows_product<8>(value + row * stride, stride, bias + row, x, acc + (row - first));
  }
  for (; row < last; ++row) {
    rows_product<1>(value + row * stride, stride, bias + row, x, acc + (row - first));
  }
}

}  // namespace sparsespeech
