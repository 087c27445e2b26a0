// Rule R3 for one input vector and a sparse matrix.
//
// Rows are short and of uneven length: a loop a row would mispredict its end for each. So the
// products of all quads run in one stream, with their running sum (modulo 2^32) kept for a block
// of quads, and a row's sum is the difference of the running sum at its two ends.
//
// The gather is one byte load a nonzero: the gather instructions are several times slower on the
// processors that this level is for.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kQuadsOfBlock = 1024;
constexpr std::size_t kQuadsOfStep = 8;

// The four inputs of a quad, in the low 32 bits.
__m128i gathered(const std::uint16_t* column, const std::uint8_t* x) {
  std::uint64_t c = 0;
  __builtin_memcpy(&c, column, sizeof(c));
  __m128i bytes = _mm_cvtsi32_si128(x[c & 0xFFFF]);
  bytes = _mm_insert_epi8(bytes, x[(c >> 16) & 0xFFFF], 1);
  bytes = _mm_insert_epi8(bytes, x[(c >> 32) & 0xFFFF], 2);
  return _mm_insert_epi8(bytes, x[c >> 48], 3);
}

// The inputs of the quads a, a + 1, a + 4 and a + 5.
__m128i gathered_four(const std::uint16_t* column, const std::uint8_t* x) {
  const __m128i low = _mm_unpacklo_epi32(gathered(column, x), gathered(column + kQuad, x));
  const __m128i high =
      _mm_unpacklo_epi32(gathered(column + 4 * kQuad, x), gathered(column + 5 * kQuad, x));
  return _mm_unpacklo_epi64(low, high);
}

// The dot products of eight quads, in their order.
__m256i eight_quads(const std::uint16_t* column, const std::int8_t* value, const std::uint8_t* x) {
  const __m256i weights =
      _mm256_permute4x64_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(value)), 0xD8);
  const __m256i first =
      _mm256_madd_epi16(_mm256_cvtepu8_epi16(gathered_four(column, x)),
                        _mm256_cvtepi8_epi16(_mm256_castsi256_si128(weights)));  // quads 0, 1, 4, 5
  const __m256i second = _mm256_madd_epi16(
      _mm256_cvtepu8_epi16(gathered_four(column + 2 * kQuad, x)),
      _mm256_cvtepi8_epi16(_mm256_extracti128_si256(weights, 1)));  // quads 2, 3, 6, 7
  return _mm256_hadd_epi32(first, second);
}

// Running sums of eight lanes.
__m256i running_sums(__m256i lanes) {
  lanes = _mm256_add_epi32(lanes, _mm256_slli_si256(lanes, 4));
  lanes = _mm256_add_epi32(lanes, _mm256_slli_si256(lanes, 8));
  const __m256i last = _mm256_shuffle_epi32(lanes, 0xFF);  // of each half
  return _mm256_add_epi32(lanes, _mm256_permute2x128_si256(last, last, 0x08));
}

std::uint32_t one_quad(const std::uint16_t* column, const std::int8_t* value,
                       const std::uint8_t* x) {
  std::int32_t sum = 0;
  for (std::size_t k = 0; k < kQuad; ++k) sum += value[k] * x[column[k]];
  return static_cast<std::uint32_t>(sum);
}

// sums[k + 1] = sums[0] + the first k + 1 of `count` quads
void run_block(const std::uint16_t* column, const std::int8_t* value, const std::uint8_t* x,
               std::size_t count, std::uint32_t* sums) {
  const __m256i last_lane = _mm256_set1_epi32(7);
  __m256i carry = _mm256_set1_epi32(static_cast<int>(sums[0]));
  std::size_t q = 0;
  for (; q + kQuadsOfStep <= count; q += kQuadsOfStep) {
    const __m256i products = eight_quads(column + q * kQuad, value + q * kQuad, x);
    const __m256i running = _mm256_add_epi32(running_sums(products), carry);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + q + 1), running);
    carry = _mm256_permutevar8x32_epi32(running, last_lane);
  }
  for (; q < count; ++q) {
    sums[q + 1] = sums[q] + one_quad(column + q * kQuad, value + q * kQuad, x);
  }
}

}  // namespace

void avx2_quad_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                       const std::uint8_t* x, std::int32_t* acc) {
  const std::uint16_t* column = matrix.column.data();
  const std::int8_t* value = matrix.value.data();
  const std::uint32_t* row_start = matrix.row_start.data();
  const std::int32_t* bias = matrix.bias.data();

  alignas(32) std::uint32_t sums[kQuadsOfBlock + 1];
  sums[0] = 0;
  std::uint32_t before = 0;  // running sum at the start of `row`
  std::size_t row = first;
  std::size_t block = row_start[first];
  const std::size_t end = row_start[last];
  while (row < last) {
    const std::size_t count = end - block < kQuadsOfBlock ? end - block : kQuadsOfBlock;
    run_block(column + block * kQuad, value + block * kQuad, x, count, sums);
    for (; row < last && row_start[row + 1] <= block + count; ++row) {
      const std::uint32_t after = sums[row_start[row + 1] - block];
      acc[row - first] =
          static_cast<std::int32_t>(after - before + static_cast<std::uint32_t>(bias[row]));
      before = after;
    }
    block += count;
    sums[0] = sums[count];
  }
}

}  // namespace sparsespeech
