// The product of a dense bf16 matrix with one step of activations by AMX tiles: out += W x.
//
// One tdpbf16ps adds the product of 16 rows x 32 columns of weights and 32 rows x 16 lanes of x to
// 16 x 16 sums. The second operand wants two rows of x side by side, which is how `pairs` holds
// them. Four tiles of sums are held over the whole length of the rows: of 32 rows and 32 lanes, so
// that each tile of an operand is used twice, or of 64 rows where only 16 lanes are left.

#include <immintrin.h>

#include "../avx512_bf16/functions.h"
#include "functions.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileColumns = 32;  // of the matrix, bf16
constexpr std::size_t kTileLanes = 16;
constexpr std::size_t kRowBytes = 64;

// Operand of ldtilecfg, palette 1: eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfiguration {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {kRowBytes, kRowBytes, kRowBytes, kRowBytes,
                                 kRowBytes, kRowBytes, kRowBytes, kRowBytes};
  std::uint8_t rows[16] = {kTileRows, kTileRows, kTileRows, kTileRows,
                           kTileRows, kTileRows, kTileRows, kTileRows};
};
static_assert(sizeof(TileConfiguration) == 64);

// gcc 12 does not know that ldtilecfg and tileloadd read memory: this stands between stores to what
// they read and them, on both sides.
inline void keep_order(const void* data) { __asm__ volatile("" : : "r"(data) : "memory"); }

// A place in W, x and out, and the steps from there to the next row of each.
struct Block {
  const std::uint16_t* matrix;  // [rows][columns]
  std::size_t columns;
  const std::uint32_t* pairs;  // [columns / 2][lanes]
  float* out;                  // [rows][lanes]
  std::size_t lanes;

  Block at(std::size_t row, std::size_t lane) const {
    return {matrix + row * columns, columns, pairs + lane, out + row * lanes + lane, lanes};
  }
  std::size_t matrix_stride() const { return columns * sizeof(std::uint16_t); }
  std::size_t lane_stride() const { return lanes * sizeof(float); }
};

// Two tiles of lanes, two of rows where kLower: sums 0 and 1, below them 2 and 3.
template <bool kLower>
void wide_block(const Block& block) {
  const std::size_t stride = block.lane_stride(), rows = block.matrix_stride();
  float* lower = block.out + kTileRows * block.lanes;
  _tile_loadd(0, block.out, stride);
  _tile_loadd(1, block.out + kTileLanes, stride);
  if constexpr (kLower) {
    _tile_loadd(2, lower, stride);
    _tile_loadd(3, lower + kTileLanes, stride);
  }
  for (std::size_t column = 0; column < block.columns; column += kTileColumns) {
    const std::uint16_t* weights = block.matrix + column;
    const std::uint32_t* x = block.pairs + column / 2 * block.lanes;
    _tile_loadd(4, weights, rows);
    _tile_loadd(6, x, stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, x + kTileLanes, stride);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kLower) {
      _tile_loadd(5, weights + kTileRows * block.columns, rows);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, block.out, stride);
  _tile_stored(1, block.out + kTileLanes, stride);
  if constexpr (kLower) {
    _tile_stored(2, lower, stride);
    _tile_stored(3, lower + kTileLanes, stride);
  }
}

// One tile of lanes, four of rows.
void tall_block(const Block& block) {
  const std::size_t stride = block.lane_stride(), rows = block.matrix_stride();
  const std::size_t sums = kTileRows * block.lanes, weights = kTileRows * block.columns;
  _tile_loadd(0, block.out, stride);
  _tile_loadd(1, block.out + sums, stride);
  _tile_loadd(2, block.out + 2 * sums, stride);
  _tile_loadd(3, block.out + 3 * sums, stride);
  for (std::size_t column = 0; column < block.columns; column += kTileColumns) {
    const std::uint16_t* matrix = block.matrix + column;
    _tile_loadd(6, block.pairs + column / 2 * block.lanes, stride);
    _tile_loadd(4, matrix, rows);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(5, matrix + weights, rows);
    _tile_dpbf16ps(1, 5, 6);
    _tile_loadd(4, matrix + 2 * weights, rows);
    _tile_dpbf16ps(2, 4, 6);
    _tile_loadd(5, matrix + 3 * weights, rows);
    _tile_dpbf16ps(3, 5, 6);
  }
  _tile_stored(0, block.out, stride);
  _tile_stored(1, block.out + sums, stride);
  _tile_stored(2, block.out + 2 * sums, stride);
  _tile_stored(3, block.out + 3 * sums, stride);
}

// One tile of each.
void small_block(const Block& block) {
  _tile_loadd(0, block.out, block.lane_stride());
  for (std::size_t column = 0; column < block.columns; column += kTileColumns) {
    _tile_loadd(4, block.matrix + column, block.matrix_stride());
    _tile_loadd(6, block.pairs + column / 2 * block.lanes, block.lane_stride());
    _tile_dpbf16ps(0, 4, 6);
  }
  _tile_stored(0, block.out, block.lane_stride());
}

void multiply(const Block& whole, std::size_t rows) {
  std::size_t lane = 0;
  for (; lane + 2 * kTileLanes <= whole.lanes; lane += 2 * kTileLanes) {
    std::size_t row = 0;
    for (; row + 2 * kTileRows <= rows; row += 2 * kTileRows) wide_block<true>(whole.at(row, lane));
    if (row < rows) wide_block<false>(whole.at(row, lane));
  }
  if (lane == whole.lanes) return;
  std::size_t row = 0;
  for (; row + 4 * kTileRows <= rows; row += 4 * kTileRows) tall_block(whole.at(row, lane));
  for (; row < rows; row += kTileRows) small_block(whole.at(row, lane));
}

}  // namespace

void amx_bf16_dense_product(const std::uint16_t* matrix, std::size_t rows, std::size_t columns,
                            const float* x, std::size_t lanes, std::uint32_t* pairs, float* out) {
  if (rows % kTileRows != 0 || columns % kTileColumns != 0) {
    return avx512_bf16_dense_product(matrix, rows, columns, x, lanes, pairs, out);
  }
  avx512_bf16_pack_pairs(x, columns, lanes, pairs);
  const TileConfiguration configuration;
  keep_order(&configuration);
  _tile_loadconfig(&configuration);
  keep_order(out);
  multiply({matrix, columns, pairs, out, lanes}, rows);
  keep_order(out);
  _tile_release();
}

}  // namespace sparsespeech
