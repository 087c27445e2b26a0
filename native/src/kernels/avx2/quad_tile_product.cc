// Rule R3 for a tile of 64 input vectors and a sparse matrix.
//
// Two nonzeros of a row meet two rows of the tile: their bytes are interleaved, widened to 16 bits
// and multiplied in pairs. The byte form (maddubs) saturates at 2^15 and is wrong.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

// 32 columns of one output row. Interleaving works inside the 128-bit halves of a register:
// part[k] holds the columns 4k..4k+3 in its low half and 16+4k..16+4k+3 in its high half.
struct Sums32 {
  __m256i part[4];

  // Adds w[0] * x0 + w[1] * x1, `weights` being the pair in each 32-bit lane.
  void add(const std::uint8_t* x0, const std::uint8_t* x1, __m256i weights) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x0));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x1));
    const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
    accumulate(part[0], _mm256_unpacklo_epi8(low, zero), weights);
    accumulate(part[1], _mm256_unpackhi_epi8(low, zero), weights);
    accumulate(part[2], _mm256_unpacklo_epi8(high, zero), weights);
    accumulate(part[3], _mm256_unpackhi_epi8(high, zero), weights);
  }

  void store(std::int32_t* out) const {
    for (std::size_t k = 0; k < 4; ++k) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4 * k), _mm256_castsi256_si128(part[k]));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 + 4 * k),
                       _mm256_extracti128_si256(part[k], 1));
    }
  }

 private:
  static void accumulate(__m256i& sum, __m256i x, __m256i weights) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, weights));
  }
};

}  // namespace

void avx2_quad_tile_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                            const std::uint8_t* x, std::int32_t* acc) {
  const std::uint16_t* column = matrix.column.data();
  const std::int8_t* value = matrix.value.data();
  const std::uint32_t* row_start = matrix.row_start.data();
  const std::int32_t* bias = matrix.bias.data();
  for (std::size_t row = first; row < last; ++row) {
    const __m256i start = _mm256_set1_epi32(bias[row]);
    Sums32 left{{start, start, start, start}}, right = left;
    for (std::size_t q = row_start[row]; q < row_start[row + 1]; ++q) {
      std::int32_t bytes = 0;
      __builtin_memcpy(&bytes, value + q * kQuad, sizeof(bytes));
      const __m256i weights = _mm256_cvtepi8_epi16(_mm_set1_epi32(bytes));
      const __m256i even = _mm256_shuffle_epi32(weights, 0x00);  // of nonzeros 0 and 1
      const __m256i odd = _mm256_shuffle_epi32(weights, 0x55);   // of nonzeros 2 and 3
      const std::uint16_t* c = column + q * kQuad;
      const std::uint8_t* x0 = x + std::size_t{c[0]} * kTileColumns;
      const std::uint8_t* x1 = x + std::size_t{c[1]} * kTileColumns;
      const std::uint8_t* x2 = x + std::size_t{c[2]} * kTileColumns;
      const std::uint8_t* x3 = x + std::size_t{c[3]} * kTileColumns;
      left.add(x0, x1, even);
      right.add(x0 + 32, x1 + 32, even);
      left.add(x2, x3, odd);
      right.add(x2 + 32, x3 + 32, odd);
    }
    std::int32_t* out = acc + (row - first) * kTileColumns;
    left.store(out);
    right.store(out + 32);
  }
}

}  // namespace sparsespeech
