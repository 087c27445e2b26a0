// From a block of accumulators to rows of vectors.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

// y[n * stride + r] = acc[r * 64 + n] for 8 x 8 values
void transpose_square(const std::int32_t* acc, std::size_t stride, std::int32_t* y) {
  __m256i v[8], pair[8];
  for (std::size_t r = 0; r < 8; ++r) {
    v[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(acc + r * kTileColumns));
  }
  for (std::size_t k = 0; k < 4; ++k) {  // rows 2k and 2k + 1
    pair[2 * k] = _mm256_unpacklo_epi32(v[2 * k], v[2 * k + 1]);
    pair[2 * k + 1] = _mm256_unpackhi_epi32(v[2 * k], v[2 * k + 1]);
  }
  for (std::size_t k = 0; k < 2; ++k) {  // rows 4k..4k + 3, columns j and 4 + j
    const __m256i* p = pair + 4 * k;
    v[4 * k] = _mm256_unpacklo_epi64(p[0], p[2]);
    v[4 * k + 1] = _mm256_unpackhi_epi64(p[0], p[2]);
    v[4 * k + 2] = _mm256_unpacklo_epi64(p[1], p[3]);
    v[4 * k + 3] = _mm256_unpackhi_epi64(p[1], p[3]);
  }
  for (std::size_t j = 0; j < 4; ++j) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + j * stride),
                        _mm256_permute2x128_si256(v[j], v[4 + j], 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + (4 + j) * stride),
                        _mm256_permute2x128_si256(v[j], v[4 + j], 0x31));
  }
}

}  // namespace

void avx2_transpose_block(const std::int32_t* acc, std::size_t rows, std::size_t stride,
                          std::int32_t* y) {
  const std::size_t whole = rows / 8 * 8;
  for (std::size_t n = 0; n < kTileColumns; n += 8) {
    for (std::size_t r = 0; r < whole; r += 8) {
      transpose_square(acc + r * kTileColumns + n, stride, y + n * stride + r);
    }
  }
  for (std::size_t r = whole; r < rows; ++r) {
    for (std::size_t n = 0; n < kTileColumns; ++n) y[n * stride + r] = acc[r * kTileColumns + n];
  }
}

}  // namespace sparsespeech
