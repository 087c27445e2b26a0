// Rule R3 for one input vector and a sparse matrix, four quads of a row at a time.
//
// The gather is one byte load a nonzero: the gather instructions are several times slower on the
// processors that this level is for. Bytes stay in their 32-bit lanes: the even ones and the odd
// ones of a quad meet their weights as 16-bit numbers, without a shuffle. The byte form of the
// product (maddubs) saturates at 2^15 and is wrong.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

// The four inputs of a quad, in the low 32 bits.
__m128i gathered(const std::uint16_t* column, const std::uint8_t* x) {
  std::uint64_t c = 0;
  __builtin_memcpy(&c, column, sizeof(c));
  __m128i bytes = _mm_cvtsi32_si128(x[c & 0xFFFF]);
  bytes = _mm_insert_epi8(bytes, x[(c >> 16) & 0xFFFF], 1);
  bytes = _mm_insert_epi8(bytes, x[(c >> 32) & 0xFFFF], 2);
  return _mm_insert_epi8(bytes, x[c >> 48], 3);
}

__m128i four_gathered(const std::uint16_t* column, const std::uint8_t* x) {
  return _mm_unpacklo_epi64(
      _mm_unpacklo_epi32(gathered(column, x), gathered(column + kQuad, x)),
      _mm_unpacklo_epi32(gathered(column + 2 * kQuad, x), gathered(column + 3 * kQuad, x)));
}

// The products of the quads in the 32-bit lanes.
__m128i quad_sums(__m128i x, __m128i weights) {
  const __m128i even = _mm_madd_epi16(_mm_and_si128(x, _mm_set1_epi16(0xFF)),
                                      _mm_srai_epi16(_mm_slli_epi16(weights, 8), 8));
  const __m128i odd = _mm_madd_epi16(_mm_srli_epi16(x, 8), _mm_srai_epi16(weights, 8));
  return _mm_add_epi32(even, odd);
}

std::int32_t lane_sum(__m128i lanes) {
  lanes = _mm_add_epi32(lanes, _mm_shuffle_epi32(lanes, 0x4E));
  lanes = _mm_add_epi32(lanes, _mm_shuffle_epi32(lanes, 0xB1));
  return _mm_cvtsi128_si32(lanes);
}

}  // namespace

void avx2_quad_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                       const std::uint8_t* x, std::int32_t* acc) {
  const std::uint16_t* column = matrix.column.data();
  const std::int8_t* value = matrix.value.data();
  const std::uint32_t* row_start = matrix.row_start.data();
  const std::int32_t* bias = matrix.bias.data();
  for (std::size_t row = first; row < last; ++row) {
    __m128i sums = _mm_setzero_si128();
    std::size_t q = row_start[row];
    const std::size_t end = row_start[row + 1];
    for (; q + 4 <= end; q += 4) {
      const auto* weights = reinterpret_cast<const __m128i*>(value + q * kQuad);
      sums = _mm_add_epi32(sums, quad_sums(four_gathered(column + q * kQuad, x),  //
                                           _mm_loadu_si128(weights)));
    }
    for (; q < end; ++q) {
      std::int32_t weights = 0;
      __builtin_memcpy(&weights, value + q * kQuad, sizeof(weights));
      sums = _mm_add_epi32(sums, quad_sums(gathered(column + q * kQuad, x),  //
                                           _mm_cvtsi32_si128(weights)));
    }
    acc[row - first] = bias[row] + lane_sum(sums);
  }
}

}  // namespace sparsespeech
