// 64 input vectors times the rows of a quad matrix: the bytes of four input rows are interleaved,
// so that each int32 lane holds one column's four factors for vpdpbusd. Rule R3.

#include <immintrin.h>

#include "dot_product.h"
#include "functions.h"

namespace sparsespeech {
namespace {

// The four sums of 16 columns each. The two interleavings leave the columns in the order
// 0-3 16-19 32-35 48-51, 4-7 20-23 .. and so on, which `store` undoes.
struct Sums {
  __m512i part[4];

  static Sums zero() {
    const __m512i none = _mm512_setzero_si512();
    return {{none, none, none, none}};
  }

  void add_quad(const std::uint8_t* x, const std::uint16_t* column, std::int32_t weights) {
    const __m512i a = _mm512_load_si512(x + column[0] * kTileColumns);
    const __m512i b = _mm512_load_si512(x + column[1] * kTileColumns);
    const __m512i c = _mm512_load_si512(x + column[2] * kTileColumns);
    const __m512i d = _mm512_load_si512(x + column[3] * kTileColumns);
    const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
    const __m512i w = _mm512_set1_epi32(weights);
    add_dot_products(part[0], _mm512_unpacklo_epi16(ab_low, cd_low), w);
    add_dot_products(part[1], _mm512_unpackhi_epi16(ab_low, cd_low), w);
    add_dot_products(part[2], _mm512_unpacklo_epi16(ab_high, cd_high), w);
    add_dot_products(part[3], _mm512_unpackhi_epi16(ab_high, cd_high), w);
  }

  // 64 sums in column order: a transposition of 4 x 4 blocks of 128 bits.
  void store(__m512i bias, std::int32_t* acc) const {
    const __m512i low01 = _mm512_shuffle_i32x4(part[0], part[1], 0x44);
    const __m512i high01 = _mm512_shuffle_i32x4(part[0], part[1], 0xEE);
    const __m512i low23 = _mm512_shuffle_i32x4(part[2], part[3], 0x44);
    const __m512i high23 = _mm512_shuffle_i32x4(part[2], part[3], 0xEE);
    const __m512i rows[4] = {
        _mm512_shuffle_i32x4(low01, low23, 0x88), _mm512_shuffle_i32x4(low01, low23, 0xDD),
        _mm512_shuffle_i32x4(high01, high23, 0x88), _mm512_shuffle_i32x4(high01, high23, 0xDD)};
    for (int i = 0; i < 4; ++i) {
      _mm512_storeu_si512(acc + 16 * i, _mm512_add_epi32(rows[i], bias));
    }
  }
};

std::int32_t load_weights(const std::int8_t* value) {
  std::int32_t weights;
  __builtin_memcpy(&weights, value, sizeof(weights));
  return weights;
}

}  // namespace

void avx512_quad_tile_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                              const std::uint8_t* x, std::int32_t* acc) {
  const std::uint32_t* start = matrix.row_start.data();
  for (std::size_t row = first; row < last; ++row, acc += kTileColumns) {
    const std::uint16_t* column = matrix.column.data() + std::size_t{start[row]} * kQuad;
    const std::int8_t* value = matrix.value.data() + std::size_t{start[row]} * kQuad;
    std::size_t left = start[row + 1] - start[row];
    // Two sets of sums: one alone waits four cycles for each vpdpbusd.
    Sums even = Sums::zero(), odd = Sums::zero();
    for (; left >= 2; left -= 2, column += 2 * kQuad, value += 2 * kQuad) {
      even.add_quad(x, column, load_weights(value));
      odd.add_quad(x, column + kQuad, load_weights(value + kQuad));
    }
    if (left > 0) even.add_quad(x, column, load_weights(value));
    for (int i = 0; i < 4; ++i) even.part[i] = _mm512_add_epi32(even.part[i], odd.part[i]);
    even.store(_mm512_set1_epi32(matrix.bias[row]), acc);
  }
}

}  // namespace sparsespeech
