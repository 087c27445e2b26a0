// Between vectors and tiles of 64 columns: byte transposes of 16 values x 32 vectors.

#include <immintrin.h>

#include <cstring>

#include "functions.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kValues = 16;   // values of a block
constexpr std::size_t kVectors = 32;  // vectors of a block: 16 in each half of a register

// Transposes the 16 x 16 bytes in the low halves of 16 registers, and those in the high halves.
// One pass rotates the address (register, byte) by one bit; four passes exchange the two.
void transpose_bytes(__m256i* rows) {
  __m256i next[kValues];
  for (int pass = 0; pass < 4; ++pass) {
    for (std::size_t k = 0; k < kValues / 2; ++k) {
      next[2 * k] = _mm256_unpacklo_epi8(rows[k], rows[k + kValues / 2]);
      next[2 * k + 1] = _mm256_unpackhi_epi8(rows[k], rows[k + kValues / 2]);
    }
    for (std::size_t k = 0; k < kValues; ++k) rows[k] = next[k];
  }
}

// Values c..c+15 of the vectors n..n+31; those from `count` on are zeros.
void fill_block(const std::uint8_t* const* x, std::size_t count, std::size_t n, std::size_t c,
                std::uint8_t* y) {
  const auto values = [&](std::size_t vector) {
    if (vector >= count) return _mm_setzero_si128();
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x[vector] + c));
  };
  __m256i rows[kValues];
  for (std::size_t k = 0; k < kValues; ++k) {
    rows[k] =
        _mm256_inserti128_si256(_mm256_castsi128_si256(values(n + k)), values(n + kValues + k), 1);
  }
  transpose_bytes(rows);
  for (std::size_t k = 0; k < kValues; ++k) {
    std::uint8_t* out = y + (c + k) * kTileColumns + n;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), rows[k]);
  }
}

void drain_block(const std::uint8_t* x, std::size_t count, std::size_t n, std::size_t c,
                 std::uint8_t* const* y) {
  __m256i rows[kValues];
  for (std::size_t k = 0; k < kValues; ++k) {
    const std::uint8_t* source = x + (c + k) * kTileColumns + n;
    rows[k] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
  }
  transpose_bytes(rows);
  for (std::size_t k = 0; k < kValues; ++k) {
    const std::size_t low = n + k, high = n + kValues + k;
    if (low < count) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y[low] + c), _mm256_castsi256_si128(rows[k]));
    }
    if (high < count) {
      const __m128i half = _mm256_extracti128_si256(rows[k], 1);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y[high] + c), half);
    }
  }
}

// Calls `block(c)` for all values in blocks of 16; the last block overlaps the one before it.
template <typename Block>
void each_block(std::size_t values, const Block& block) {
  for (std::size_t c = 0; c + kValues <= values; c += kValues) block(c);
  if (values % kValues != 0) block(values - kValues);
}

}  // namespace

void avx2_fill_tile(const std::uint8_t* const* x, std::size_t count, std::size_t values,
                    std::uint8_t* y) {
  if (values < kValues) {
    std::memset(y, 0, values * kTileColumns);
    for (std::size_t n = 0; n < count; ++n) {
      for (std::size_t c = 0; c < values; ++c) y[c * kTileColumns + n] = x[n][c];
    }
    return;
  }
  each_block(values, [&](std::size_t c) {
    for (std::size_t n = 0; n < kTileColumns; n += kVectors) fill_block(x, count, n, c, y);
  });
}

void avx2_drain_tile(const std::uint8_t* x, std::size_t count, std::size_t values,
                     std::uint8_t* const* y) {
  if (values < kValues) {
    for (std::size_t n = 0; n < count; ++n) {
      for (std::size_t c = 0; c < values; ++c) y[n][c] = x[c * kTileColumns + n];
    }
    return;
  }
  each_block(values, [&](std::size_t c) {
    for (std::size_t n = 0; n < count; n += kVectors) drain_block(x, count, n, c, y);
  });
}

}  // namespace sparsespeech
