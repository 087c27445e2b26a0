// One input vector times the rows of a dense matrix. Rule R3.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kRegisterBytes = 64;
// Four rows share a load of x, and reading four streams of weights keeps up with every level of
// cache: eight rows or two sums a row were not faster.
constexpr std::size_t kRowsAtOnce = 4;

inline __m512i load(const void* data) { return _mm512_loadu_si512(data); }

// The sums of the lanes of each register, in the order of the registers.
inline __m128i add_lanes(const __m512i (&sums)[kRowsAtOnce]) {
  const __m512i first = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[0], sums[1]),
                                         _mm512_unpackhi_epi32(sums[0], sums[1]));
  const __m512i second = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[2], sums[3]),
                                          _mm512_unpackhi_epi32(sums[2], sums[3]));
  const __m512i all =
      _mm512_add_epi32(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

}  // namespace

void avx512_dense_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                          const std::uint8_t* x, std::int32_t* acc) {
  const std::size_t stride = matrix.stride;
  const std::int8_t* weights = matrix.value.data() + first * stride;
  const std::int32_t* bias = matrix.bias.data();
  std::size_t row = first;
  for (; row + kRowsAtOnce <= last; row += kRowsAtOnce) {
    __m512i sums[kRowsAtOnce];
    for (__m512i& sum : sums) sum = _mm512_setzero_si512();
    for (std::size_t column = 0; column < stride; column += kRegisterBytes) {
      const __m512i bytes = load(x + column);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kRowsAtOnce; ++i) {
        sums[i] = _mm512_dpbusd_epi32(sums[i], bytes, load(weights + i * stride + column));
      }
    }
    // Keeps the loop free of register copies, which gcc otherwise adds for the lines below.
    for (__m512i& sum : sums) __asm__("" : "+v"(sum));
    const __m128i biases = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bias + row));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(acc), _mm_add_epi32(add_lanes(sums), biases));
    weights += kRowsAtOnce * stride;
    acc += kRowsAtOnce;
  }
  for (; row < last; ++row, weights += stride, ++acc) {
    __m512i sum = _mm512_setzero_si512();
    for (std::size_t column = 0; column < stride; column += kRegisterBytes) {
      sum = _mm512_dpbusd_epi32(sum, load(x + column), load(weights + column));
    }
    *acc = bias[row] + _mm512_reduce_add_epi32(sum);
  }
}

}  // namespace sparsespeech
