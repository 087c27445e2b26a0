// 64 input vectors times the rows of a dense matrix: vpdpbusd on columns of four input bytes, all
// sums of a few rows in registers. Rule R3.
//
// The input is interleaved once a call, 512 rows of it at a time: the first rows of the call do it
// on their way and leave the result, 32 KiB that stay in the first-level cache, to the other rows.
// With 32 rows a call that takes about six percent of the time (measured on Zen 5).

#include <immintrin.h>

#include "functions.h"
#include "transpose_registers.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kRegisterBytes = 64;
constexpr std::size_t kTileRegisters = 4;   // of 64 int32 sums, or of 64 interleaved columns
constexpr std::size_t kRowsAtOnce = 6;      // 24 registers of sums, 4 of x, 1 of weights
constexpr std::size_t kPanelColumns = 512;  // interleaved at a time
constexpr std::size_t kQuadBytes = kQuad * kTileColumns;

// Columns of the matrix from one on; x and weights point to it, weights also to the first row.
struct Panel {
  const std::uint8_t* x;
  std::uint8_t* interleaved;  // [columns / 4][4][64], see interleave()
  const std::int8_t* weights;
  std::size_t stride, columns;  // multiples of 64
  bool first, last;             // of the matrix
  bool more_rows;               // kRowsAtOnce of them follow, to be fetched ahead
};

// The bytes of four rows of x side by side: four bytes a column, the columns in the order
// 0-3 16-19 32-35 48-51, 4-7 20-23 and so on. The sums have that order until the last panel.
inline void interleave(const std::uint8_t* x, __m512i (&columns)[kTileRegisters]) {
  const __m512i a = _mm512_loadu_si512(x);
  const __m512i b = _mm512_loadu_si512(x + kTileColumns);
  const __m512i c = _mm512_loadu_si512(x + 2 * kTileColumns);
  const __m512i d = _mm512_loadu_si512(x + 3 * kTileColumns);
  const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
  columns[0] = _mm512_unpacklo_epi16(ab_low, cd_low);
  columns[1] = _mm512_unpackhi_epi16(ab_low, cd_low);
  columns[2] = _mm512_unpacklo_epi16(ab_high, cd_high);
  columns[3] = _mm512_unpackhi_epi16(ab_high, cd_high);
}

inline __m512i broadcast_quad(const std::int8_t* weights) {
  std::int32_t quad;
  __builtin_memcpy(&quad, weights, sizeof(quad));
  return _mm512_set1_epi32(quad);
}

template <std::size_t kRows>
struct Sums {
  __m512i part[kRows][kTileRegisters];

  void start(const std::int32_t* bias) {
#pragma GCC unroll 6
    for (std::size_t row = 0; row < kRows; ++row) {
      for (__m512i& sum : part[row]) sum = _mm512_set1_epi32(bias[row]);
    }
  }

  void load(const std::int32_t* acc) {
#pragma GCC unroll 6
    for (std::size_t row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kTileRegisters; ++i) {
        part[row][i] = _mm512_loadu_si512(acc + row * kTileColumns + i * kLanes);
      }
    }
  }

  void order_columns() {
#pragma GCC unroll 6
    for (auto& sum : part) transpose_128(sum[0], sum[1], sum[2], sum[3]);
  }

  void store(std::int32_t* acc) const {
#pragma GCC unroll 6
    for (std::size_t row = 0; row < kRows; ++row) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kTileRegisters; ++i) {
        _mm512_storeu_si512(acc + row * kTileColumns + i * kLanes, part[row][i]);
      }
    }
  }
};

template <std::size_t kRows, bool kInterleave>
void add_panel(const Panel& panel, const std::int32_t* bias, std::int32_t* acc) {
  Sums<kRows> sums;
  if (panel.first) {
    sums.start(bias);
  } else {
    sums.load(acc);
  }
  const std::int8_t* weights = panel.weights;
  const std::size_t ahead = panel.more_rows ? kRowsAtOnce * panel.stride : 0;
  for (std::size_t column = 0; column < panel.columns; column += kQuad, weights += kQuad) {
    if (column % kRegisterBytes == 0) {
#pragma GCC unroll 6
      for (std::size_t row = 0; row < kRows; ++row) {
        _mm_prefetch(weights + row * panel.stride + ahead, _MM_HINT_T0);
      }
    }
    __m512i bytes[kTileRegisters];
    std::uint8_t* interleaved = panel.interleaved + column * kTileColumns;
    if constexpr (kInterleave) interleave(panel.x + column * kTileColumns, bytes);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kTileRegisters; ++i) {
      if constexpr (kInterleave) {
        _mm512_store_si512(interleaved + i * kRegisterBytes, bytes[i]);
      } else {
        bytes[i] = _mm512_load_si512(interleaved + i * kRegisterBytes);
      }
    }
#pragma GCC unroll 6
    for (std::size_t row = 0; row < kRows; ++row) {
      const __m512i quad = broadcast_quad(weights + row * panel.stride);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kTileRegisters; ++i) {
        sums.part[row][i] = _mm512_dpbusd_epi32(sums.part[row][i], bytes[i], quad);
      }
    }
  }
  if (panel.last) sums.order_columns();
  sums.store(acc);
}

template <bool kInterleave>
void add_rows(std::size_t rows, const Panel& panel, const std::int32_t* bias, std::int32_t* acc) {
  switch (rows) {
    case 1:
      return add_panel<1, kInterleave>(panel, bias, acc);
    case 2:
      return add_panel<2, kInterleave>(panel, bias, acc);
    case 3:
      return add_panel<3, kInterleave>(panel, bias, acc);
    case 4:
      return add_panel<4, kInterleave>(panel, bias, acc);
    case 5:
      return add_panel<5, kInterleave>(panel, bias, acc);
    default:
      return add_panel<kRowsAtOnce, kInterleave>(panel, bias, acc);
  }
}

constexpr std::size_t at_most(std::size_t value, std::size_t limit) {
  return value < limit ? value : limit;
}

}  // namespace

void avx512_dense_tile_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                               const std::uint8_t* x, std::int32_t* acc) {
  alignas(kRegisterBytes) std::uint8_t interleaved[kPanelColumns * kTileColumns];
  const std::size_t stride = matrix.stride;
  for (std::size_t column = 0; column < stride; column += kPanelColumns) {
    const std::size_t columns = at_most(stride - column, kPanelColumns);
    Panel panel{x + column * kTileColumns,
                interleaved,
                matrix.value.data() + first * stride + column,
                stride,
                columns,
                column == 0,
                column + columns == stride,
                false};
    for (std::size_t row = first; row < last; row += kRowsAtOnce) {
      const std::int32_t* bias = matrix.bias.data() + row;
      std::int32_t* sums = acc + (row - first) * kTileColumns;
      panel.more_rows = row + 2 * kRowsAtOnce <= matrix.rows;
      const std::size_t rows = at_most(last - row, kRowsAtOnce);
      if (row == first) {
        add_rows<true>(rows, panel, bias, sums);
      } else {
        add_rows<false>(rows, panel, bias, sums);
      }
      panel.weights += rows * stride;
    }
  }
}

}  // namespace sparsespeech
