// Rule R3 for a tile of 64 input vectors and a dense matrix.
//
// The columns come in blocks: a block's inputs are interleaved and widened once to pairs of 16
// bits, and its weights likewise; then every row of the call multiplies them in pairs.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kColumns = 64;          // columns of a block
constexpr std::size_t kPairs = kColumns / 2;  // pairs of columns
constexpr std::size_t kRowsAtOnce = 4;
static_assert(DenseMatrix::kColumnMultiple % kColumns == 0);

struct Block {
  alignas(32) std::int32_t x[kPairs][kTileColumns];  // two inputs of 16 bits in each
  alignas(32) std::int32_t weights[kRowsOfBlock][kPairs];
};

__m256i load_lanes(const std::int32_t* data) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(data));
}

void store_lanes(std::int32_t* data, __m256i lanes) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(data), lanes);
}

// `x`: the first of the block's rows of the tile
void load_inputs(const std::uint8_t* x, Block& block) {
  for (std::size_t p = 0; p < kPairs; ++p) {
    for (std::size_t n = 0; n < kTileColumns; n += 16) {
      const auto* source = reinterpret_cast<const __m128i*>(x + 2 * p * kTileColumns + n);
      const __m128i a = _mm_loadu_si128(source);
      const __m128i b = _mm_loadu_si128(source + kTileColumns / 16);
      store_lanes(&block.x[p][n], _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)));
      store_lanes(&block.x[p][n + 8], _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b)));
    }
  }
}

void load_weights(const std::int8_t* value, std::size_t stride, std::size_t rows, Block& block) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < kColumns; c += 16) {
      const auto* source = reinterpret_cast<const __m128i*>(value + r * stride + c);
      store_lanes(&block.weights[r][c / 2], _mm256_cvtepi8_epi16(_mm_loadu_si128(source)));
    }
  }
}

// acc += the block's products, for kRows rows from `row` on
template <std::size_t kRows>
void add_rows(const Block& block, std::size_t row, std::int32_t* acc) {
  for (std::size_t n = 0; n < kTileColumns; n += 16) {
    __m256i left[kRows], right[kRows];
    for (std::size_t r = 0; r < kRows; ++r) {
      const auto* out = reinterpret_cast<const __m256i*>(acc + (row + r) * kTileColumns + n);
      left[r] = _mm256_loadu_si256(out);
      right[r] = _mm256_loadu_si256(out + 1);
    }
    for (std::size_t p = 0; p < kPairs; ++p) {
      const __m256i a = load_lanes(&block.x[p][n]), b = load_lanes(&block.x[p][n + 8]);
      for (std::size_t r = 0; r < kRows; ++r) {
        const __m256i weights = _mm256_set1_epi32(block.weights[row + r][p]);
        left[r] = _mm256_add_epi32(left[r], _mm256_madd_epi16(a, weights));
        right[r] = _mm256_add_epi32(right[r], _mm256_madd_epi16(b, weights));
      }
    }
    for (std::size_t r = 0; r < kRows; ++r) {
      store_lanes(acc + (row + r) * kTileColumns + n, left[r]);
      store_lanes(acc + (row + r) * kTileColumns + n + 8, right[r]);
    }
  }
}

}  // namespace

void avx2_dense_tile_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                             const std::uint8_t* x, std::int32_t* acc) {
  const std::size_t rows = last - first;
  for (std::size_t r = 0; r < rows; ++r) {
    const __m256i start = _mm256_set1_epi32(matrix.bias.data()[first + r]);
    for (std::size_t n = 0; n < kTileColumns; n += 8) {
      store_lanes(acc + r * kTileColumns + n, start);
    }
  }
  const std::int8_t* value = matrix.value.data() + first * matrix.stride;
  Block block;
  for (std::size_t c = 0; c < matrix.stride; c += kColumns) {
    load_inputs(x + c * kTileColumns, block);
    load_weights(value + c, matrix.stride, rows, block);
    std::size_t row = 0;
    for (; row + kRowsAtOnce <= rows; row += kRowsAtOnce) {
      add_rows<kRowsAtOnce>(block, row, acc);
    }
    for (; row < rows; ++row) add_rows<1>(block, row, acc);
  }
}

}  // namespace sparsespeech
