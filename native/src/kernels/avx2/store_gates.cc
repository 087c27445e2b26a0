// Rule R5: the stored input part, saturated on its own; 8 rows x 16 columns at a time.

#include "../scalar/fixed_point.h"
#include "functions.h"
#include "rescale.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kRows = 8;
constexpr std::size_t kColumns = 16;

// Transposes the 8 x 8 words in the low halves of 8 registers, and those in the high halves. One
// pass rotates the address (register, word) by one bit; three passes exchange the two.
void transpose_words(__m256i (&rows)[kRows]) {
  __m256i next[kRows];
  for (int pass = 0; pass < 3; ++pass) {
    for (std::size_t k = 0; k < kRows / 2; ++k) {
      next[2 * k] = _mm256_unpacklo_epi16(rows[k], rows[k + kRows / 2]);
      next[2 * k + 1] = _mm256_unpackhi_epi16(rows[k], rows[k + kRows / 2]);
    }
    for (std::size_t k = 0; k < kRows; ++k) rows[k] = next[k];
  }
}

// Columns n..n+15 of eight rows, whose first is row 0 of `acc`.
void store_block(const std::int32_t* acc, const Rescale& rescale, std::size_t n,
                 std::size_t columns, std::size_t stride, std::int16_t* y) {
  __m256i words[kRows];
  for (std::size_t r = 0; r < kRows; ++r) {
    const UniformRescaler rescaler(rescale.from(r));
    const std::int32_t* row = acc + r * kTileColumns + n;
    const __m256i left = rescaler(load_lanes(row)), right = rescaler(load_lanes(row + 8));
    // Low half: columns 0-3 and 8-11; high half: columns 4-7 and 12-15.
    words[r] = _mm256_packs_epi32(left, right);
  }
  transpose_words(words);
  const auto store = [&](std::size_t column, __m128i values) {
    if (column >= columns) return;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + column * stride), values);
  };
  for (std::size_t k = 0; k < kRows; ++k) {
    const std::size_t column = n + k % 4 + k / 4 * 8;
    store(column, _mm256_castsi256_si128(words[k]));
    store(column + 4, _mm256_extracti128_si256(words[k], 1));
  }
}

}  // namespace

void avx2_store_gates(const std::int32_t* acc, std::size_t rows, Rescale rescale,
                      std::size_t columns, std::size_t stride, std::int16_t* y) {
  std::size_t r = 0;
  for (; r + kRows <= rows; r += kRows) {
    for (std::size_t n = 0; n < columns; n += kColumns) {
      store_block(acc + r * kTileColumns, rescale.from(r), n, columns, stride, y + r);
    }
  }
  for (; r < rows; ++r) {
    for (std::size_t n = 0; n < columns; ++n) {
      y[n * stride + r] = saturate16(rescaled(acc[r * kTileColumns + n], rescale, r));
    }
  }
}

}  // namespace sparsespeech
