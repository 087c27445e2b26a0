// Blocks of accumulators, [rows][64 columns], to column order.

#include "functions.h"
#include "rescale.h"
#include "transpose_registers.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kVectors = 16;  // rows or columns of one transposition

// saturate16(R4'(acc)) of rows `row` and `row + 1` as the halves of 32 bits; rows from `rows` on
// give 0.
__m512i gate_pair(const std::int32_t* acc, std::size_t row, std::size_t rows,
                  const Rescale& rescale) {
  const __m512i low = _mm512_set1_epi32(-32768), high = _mm512_set1_epi32(32767);
  __m512i pair[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (std::size_t i = 0; i < 2 && row + i < rows; ++i) {
    const Rescaler rescaler(rescale.multiplier[(row + i) * rescale.stride],
                            rescale.shift[(row + i) * rescale.stride]);
    const __m512i value = rescaler(_mm512_loadu_si512(acc + (row + i) * kTileColumns));
    pair[i] = _mm512_min_epi32(_mm512_max_epi32(value, low), high);
  }
  return _mm512_mask_blend_epi16(0xAAAAAAAA, pair[0], _mm512_slli_epi32(pair[1], 16));
}

}  // namespace

void avx512_store_gates(const std::int32_t* acc, std::size_t rows, Rescale rescale,
                        std::size_t columns, std::size_t stride, std::int16_t* y) {
  const auto mask = static_cast<__mmask32>(rows >= 32 ? ~0U : (1U << rows) - 1U);
  for (std::size_t column = 0; column < columns; column += kVectors) {
    __m512i pairs[kVectors];
    for (std::size_t pair = 0; pair < kVectors; ++pair) {
      pairs[pair] = gate_pair(acc + column, 2 * pair, rows, rescale);
    }
    transpose_32(pairs);
    for (std::size_t i = 0; i < kVectors && column + i < columns; ++i) {
      _mm512_mask_storeu_epi16(y + (column + i) * stride, mask, pairs[i]);
    }
  }
}

void avx512_transpose_block(const std::int32_t* acc, std::size_t rows, std::size_t stride,
                            std::int32_t* y) {
  for (std::size_t row = 0; row < rows; row += kVectors) {
    const __mmask16 mask = first_lanes(rows - row);
    for (std::size_t column = 0; column < kTileColumns; column += kVectors) {
      __m512i block[kVectors];
      for (std::size_t i = 0; i < kVectors; ++i) {
        block[i] = row + i < rows ? _mm512_loadu_si512(acc + (row + i) * kTileColumns + column)
                                  : _mm512_setzero_si512();
      }
      transpose_32(block);
      for (std::size_t i = 0; i < kVectors; ++i) {
        _mm512_mask_storeu_epi32(y + (column + i) * stride + row, mask, block[i]);
      }
    }
  }
}

}  // namespace sparsespeech
