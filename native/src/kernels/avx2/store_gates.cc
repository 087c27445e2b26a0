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

// 16 columns of up to kRowsOfBlock rows, each column in a piece.
struct Columns {
  alignas(32) std::int16_t value[kColumns][kRowsOfBlock];
};

// Columns n..n+15 of the eight rows from `row` on.
void load_rows(const std::int32_t* acc, const Rescale& rescale, std::size_t row, std::size_t n,
               Columns& columns) {
  __m256i words[kRows];
  for (std::size_t r = 0; r < kRows; ++r) {
    const UniformRescaler rescaler(rescale.from(row + r));
    const std::int32_t* source = acc + (row + r) * kTileColumns + n;
    const __m256i left = rescaler(load_lanes(source)), right = rescaler(load_lanes(source + 8));
    // Low half: columns 0-3 and 8-11; high half: columns 4-7 and 12-15.
    words[r] = _mm256_packs_epi32(left, right);
  }
  transpose_words(words);
  for (std::size_t k = 0; k < kRows; ++k) {
    const std::size_t column = k % 4 + k / 4 * 8;
    _mm_store_si128(reinterpret_cast<__m128i*>(&columns.value[column][row]),
                    _mm256_castsi256_si128(words[k]));
    _mm_store_si128(reinterpret_cast<__m128i*>(&columns.value[column + 4][row]),
                    _mm256_extracti128_si256(words[k], 1));
  }
}

}  // namespace

// Columns are far apart in `y`, often by a power of two, where few of them share the cache: each
// is written in one go.
void avx2_store_gates(const std::int32_t* acc, std::size_t rows, Rescale rescale,
                      std::size_t columns, std::size_t stride, std::int16_t* y) {
  const std::size_t whole = rows / kRows * kRows;
  Columns block;
  for (std::size_t n = 0; n < columns; n += kColumns) {
    for (std::size_t r = 0; r < whole; r += kRows) load_rows(acc, rescale, r, n, block);
    for (std::size_t k = 0; k < kColumns && n + k < columns; ++k) {
      std::int16_t* out = y + (n + k) * stride;
      for (std::size_t r = 0; r < whole; r += kRows) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + r),
                         _mm_load_si128(reinterpret_cast<const __m128i*>(&block.value[k][r])));
      }
      for (std::size_t r = whole; r < rows; ++r) {
        out[r] = saturate16(rescaled(acc[r * kTileColumns + n + k], rescale, r));
      }
    }
  }
}

}  // namespace sparsespeech
