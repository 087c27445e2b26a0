// Bytes between vector order, x[n][c], and tile order, x[c][64]: transpositions of 64 x 64 bytes.

#include "functions.h"
#include "transpose_registers.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kSide = 64;

// In 16 dwords, byte b of dword i goes to byte i of quarter b.
__m512i split_bytes(__m512i dwords) {
  alignas(64) static constexpr std::uint8_t kOrder[64] = {
      0,  4,  8,  12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 1,  5,  9,  13, 17, 21,
      25, 29, 33, 37, 41, 45, 49, 53, 57, 61, 2,  6,  10, 14, 18, 22, 26, 30, 34, 38, 42, 46,
      50, 54, 58, 62, 3,  7,  11, 15, 19, 23, 27, 31, 35, 39, 43, 47, 51, 55, 59, 63};
  return _mm512_permutexvar_epi8(_mm512_load_si512(kOrder), dwords);
}

// `load(row)` gives the 64 bytes of an input row, `store(row, bytes)` takes those of an output row.
template <typename Load, typename Store>
void transpose_bytes(Load load, Store store) {
  __m512i quarters[16][4];
  for (std::size_t quarter = 0; quarter < 4; ++quarter) {
    __m512i rows[16];
    for (std::size_t i = 0; i < 16; ++i) rows[i] = load(16 * quarter + i);
    transpose_32(rows);
    for (std::size_t i = 0; i < 16; ++i) quarters[i][quarter] = split_bytes(rows[i]);
  }
  for (std::size_t i = 0; i < 16; ++i) {
    __m512i* row = quarters[i];
    transpose_128(row[0], row[1], row[2], row[3]);
    for (std::size_t byte = 0; byte < 4; ++byte) store(4 * i + byte, row[byte]);
  }
}

__mmask64 first_bytes(std::size_t count) { return count >= kSide ? ~0ULL : (1ULL << count) - 1ULL; }

}  // namespace

void avx512_fill_tile(const std::uint8_t* const* x, std::size_t count, std::size_t values,
                      std::uint8_t* y) {
  for (std::size_t c = 0; c < values; c += kSide) {
    const __mmask64 mask = first_bytes(values - c);
    transpose_bytes(
        [&](std::size_t n) {
          return n < count ? _mm512_maskz_loadu_epi8(mask, x[n] + c) : _mm512_setzero_si512();
        },
        [&](std::size_t row, __m512i bytes) {
          if (c + row < values) _mm512_storeu_si512(y + (c + row) * kTileColumns, bytes);
        });
  }
}

void avx512_drain_tile(const std::uint8_t* x, std::size_t count, std::size_t values,
                       std::uint8_t* const* y) {
  for (std::size_t c = 0; c < values; c += kSide) {
    const __mmask64 mask = first_bytes(values - c);
    transpose_bytes(
        [&](std::size_t row) {
          return c + row < values ? _mm512_loadu_si512(x + (c + row) * kTileColumns)
                                  : _mm512_setzero_si512();
        },
        [&](std::size_t n, __m512i bytes) {
          if (n < count) _mm512_mask_storeu_epi8(y[n] + c, mask, bytes);
        });
  }
}

}  // namespace sparsespeech
