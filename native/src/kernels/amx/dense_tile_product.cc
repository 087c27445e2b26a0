// 64 input vectors times the rows of a dense matrix by AMX tiles of int8. Rule R3.
//
// One tdpbsud adds the product of 16 rows x 64 columns of weights (signed) and 64 rows x 16
// columns of x (unsigned) to 16 x 16 sums. Four tiles hold the sums of up to 32 rows and 32
// columns over the whole length of the rows; the other 32 columns follow in a second pass. The
// second operand wants the bytes of four rows of x side by side, which is done a panel at a time,
// once a call.
//
// Written without a processor that has AMX: the compiled code ran with every tile instruction
// trapped and carried out by a model of Intel's pseudo-code (native/tests/tile_model.h). Hence
// amx_agrees_with_avx512() before the engine offers this set. Its tests have passed on a Xeon with
// AMX since.

#include <immintrin.h>

#include "functions.h"
#include "sparsespeech/kernels.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileBytes = 64;      // of a row of a tile: 64 weights or 16 columns of x
constexpr std::size_t kPassColumns = 32;    // columns of x in one pass
constexpr std::size_t kPanelColumns = 512;  // columns of the matrix interleaved at a time
constexpr std::size_t kBlockBytes = 2 * kTileRows * kTileBytes;  // two tiles of x
constexpr std::size_t kSumStride = kTileColumns * sizeof(std::int32_t);

// Operand of ldtilecfg, palette 1. Tiles without rows stay unused.
struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};

  void set(std::size_t tile, std::size_t tile_rows) {
    rows[tile] = static_cast<std::uint8_t>(tile_rows);
    row_bytes[tile] = tile_rows > 0 ? kTileBytes : 0;
  }
};
static_assert(sizeof(TileConfiguration) == 64);

// gcc 12 does not know that ldtilecfg and tileloadd read memory: this stands between stores to what
// they read and them, on both sides.
inline void keep_order(const void* data) { __asm__ volatile("" : : "r"(data) : "memory"); }

// Tiles 0 to 3 hold sums: of the first 16 rows (0, 1) and of the others (2, 3), of the first 16
// columns (0, 2) and of the others (1, 3). 4 and 5 hold weights, 6 and 7 hold x.
void configure_tiles(std::size_t rows) {
  const std::size_t upper = rows < kTileRows ? rows : kTileRows;
  const std::size_t lower = rows - upper;
  TileConfiguration configuration;
  const std::size_t rows_of_tile[8] = {upper, upper, lower,     lower,
                                       upper, lower, kTileRows, kTileRows};
  for (std::size_t tile = 0; tile < 8; ++tile) configuration.set(tile, rows_of_tile[tile]);
  keep_order(&configuration);
  _tile_loadconfig(&configuration);
}

// 32 columns of `rows` rows of x (a multiple of 64) to blocks of two tiles, 16 columns each: a row
// of a tile is four rows of x, four bytes a column.
void interleave(const std::uint8_t* x, std::size_t rows, std::uint8_t* blocks) {
  for (std::size_t row = 0; row < rows; row += kQuad, x += kQuad * kTileColumns) {
    const auto* source = reinterpret_cast<const __m256i*>(x);
    constexpr std::size_t kNext = kTileColumns / sizeof(__m256i);
    const __m256i a = _mm256_loadu_si256(source), b = _mm256_loadu_si256(source + kNext);
    const __m256i c = _mm256_loadu_si256(source + 2 * kNext);
    const __m256i d = _mm256_loadu_si256(source + 3 * kNext);
    const __m256i ab_low = _mm256_unpacklo_epi8(a, b), ab_high = _mm256_unpackhi_epi8(a, b);
    const __m256i cd_low = _mm256_unpacklo_epi8(c, d), cd_high = _mm256_unpackhi_epi8(c, d);
    // The lower halves are columns 0-3, 4-7, 8-11, 12-15, the upper halves 16 more.
    const __m256i columns[4] = {
        _mm256_unpacklo_epi16(ab_low, cd_low), _mm256_unpackhi_epi16(ab_low, cd_low),
        _mm256_unpacklo_epi16(ab_high, cd_high), _mm256_unpackhi_epi16(ab_high, cd_high)};
    std::uint8_t* block = blocks + row / kTileBytes * kBlockBytes;
    auto* left = reinterpret_cast<__m128i*>(block + row % kTileBytes / kQuad * kTileBytes);
    __m128i* right = left + kTileRows * kTileBytes / sizeof(__m128i);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      _mm_store_si128(left + i, _mm256_castsi256_si128(columns[i]));
      _mm_store_si128(right + i, _mm256_extracti128_si256(columns[i], 1));
    }
  }
}

// Adds the products of a panel to the sums in the tiles.
template <bool kLower>
void multiply_panel(const std::int8_t* weights, std::size_t stride, std::size_t columns,
                    const std::uint8_t* blocks) {
  for (std::size_t column = 0; column < columns; column += kTileBytes, blocks += kBlockBytes) {
    _tile_loadd(4, weights + column, stride);
    _tile_loadd(6, blocks, kTileBytes);
    _tile_dpbsud(0, 4, 6);
    _tile_loadd(7, blocks + kTileRows * kTileBytes, kTileBytes);
    _tile_dpbsud(1, 4, 7);
    if constexpr (kLower) {
      _tile_loadd(5, weights + kTileRows * stride + column, stride);
      _tile_dpbsud(2, 5, 6);
      _tile_dpbsud(3, 5, 7);
    }
  }
}

// All rows times 32 columns: x and acc start at the first of them, acc holds the biases.
template <bool kLower>
void multiply_pass(const std::int8_t* weights, std::size_t stride, const std::uint8_t* x,
                   std::int32_t* acc) {
  alignas(64) std::uint8_t blocks[kPanelColumns * kPassColumns];
  std::int32_t* lower = acc + kTileRows * kTileColumns;
  keep_order(acc);
  _tile_loadd(0, acc, kSumStride);
  _tile_loadd(1, acc + kTileRows, kSumStride);
  if constexpr (kLower) {
    _tile_loadd(2, lower, kSumStride);
    _tile_loadd(3, lower + kTileRows, kSumStride);
  }
  for (std::size_t column = 0; column < stride; column += kPanelColumns) {
    const std::size_t left = stride - column;
    const std::size_t columns = left < kPanelColumns ? left : kPanelColumns;
    interleave(x + column * kTileColumns, columns, blocks);
    keep_order(blocks);
    multiply_panel<kLower>(weights + column, stride, columns, blocks);
    keep_order(blocks);
  }
  _tile_stored(0, acc, kSumStride);
  _tile_stored(1, acc + kTileRows, kSumStride);
  if constexpr (kLower) {
    _tile_stored(2, lower, kSumStride);
    _tile_stored(3, lower + kTileRows, kSumStride);
  }
}

void fill_biases(const std::int32_t* bias, std::size_t rows, std::int32_t* acc) {
  for (std::size_t row = 0; row < rows; ++row) {
    const __m512i value = _mm512_set1_epi32(bias[row]);
    for (std::size_t i = 0; i < kTileColumns; i += kLanes) {
      _mm512_storeu_si512(acc + row * kTileColumns + i, value);
    }
  }
}

}  // namespace

void amx_dense_tile_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                            const std::uint8_t* x, std::int32_t* acc) {
  const std::size_t rows = last - first;
  if (rows == 0) return;
  const std::int8_t* weights = matrix.value.data() + first * matrix.stride;
  fill_biases(matrix.bias.data() + first, rows, acc);
  configure_tiles(rows);
  for (std::size_t column = 0; column < kTileColumns; column += kPassColumns) {
    if (rows > kTileRows) {
      multiply_pass<true>(weights, matrix.stride, x + column, acc + column);
    } else {
      multiply_pass<false>(weights, matrix.stride, x + column, acc + column);
    }
  }
  _tile_release();
}

}  // namespace sparsespeech
