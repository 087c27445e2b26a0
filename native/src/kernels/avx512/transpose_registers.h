// Transpositions inside registers.

#ifndef SPARSESPEECH_KERNELS_AVX512_TRANSPOSE_REGISTERS_H_
#define SPARSESPEECH_KERNELS_AVX512_TRANSPOSE_REGISTERS_H_

#include <immintrin.h>

namespace sparsespeech {
namespace {

// 4 x 4 blocks of 128 bits: rows[i] block j becomes rows[j] block i.
inline void transpose_128(__m512i& a, __m512i& b, __m512i& c, __m512i& d) {
  const __m512i ab_low = _mm512_shuffle_i32x4(a, b, 0x44);
  const __m512i ab_high = _mm512_shuffle_i32x4(a, b, 0xEE);
  const __m512i cd_low = _mm512_shuffle_i32x4(c, d, 0x44);
  const __m512i cd_high = _mm512_shuffle_i32x4(c, d, 0xEE);
  a = _mm512_shuffle_i32x4(ab_low, cd_low, 0x88);
  b = _mm512_shuffle_i32x4(ab_low, cd_low, 0xDD);
  c = _mm512_shuffle_i32x4(ab_high, cd_high, 0x88);
  d = _mm512_shuffle_i32x4(ab_high, cd_high, 0xDD);
}

// 16 x 16 elements of 32 bits.
inline void transpose_32(__m512i (&rows)[16]) {
  __m512i pairs[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {  // inside each 128-bit lane: 4 x 4 elements
    const __m512i ab_low = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    const __m512i ab_high = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    const __m512i cd_low = _mm512_unpacklo_epi32(rows[i + 2], rows[i + 3]);
    const __m512i cd_high = _mm512_unpackhi_epi32(rows[i + 2], rows[i + 3]);
    pairs[i] = _mm512_unpacklo_epi64(ab_low, cd_low);
    pairs[i + 1] = _mm512_unpackhi_epi64(ab_low, cd_low);
    pairs[i + 2] = _mm512_unpacklo_epi64(ab_high, cd_high);
    pairs[i + 3] = _mm512_unpackhi_epi64(ab_high, cd_high);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    transpose_128(pairs[i], pairs[4 + i], pairs[8 + i], pairs[12 + i]);
    rows[i] = pairs[i];
    rows[4 + i] = pairs[4 + i];
    rows[8 + i] = pairs[8 + i];
    rows[12 + i] = pairs[12 + i];
  }
}

}  // namespace
}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX512_TRANSPOSE_REGISTERS_H_
