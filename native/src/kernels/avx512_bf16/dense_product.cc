// The product of a dense bf16 matrix with one step of activations: out += W x.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

__m512bh broadcast_pair(const std::uint16_t* pair) {
  std::int32_t bits = 0;
  __builtin_memcpy(&bits, pair, sizeof bits);
  return (__m512bh)_mm512_set1_epi32(bits);
}

// kRows rows from `matrix` on; `pairs` is x as [C / 2][L] pairs of bf16.
template <int kRows, int kRegisters>
void rows_product(const std::uint16_t* matrix, std::size_t columns, const std::uint32_t* pairs,
                  float* out) {
  constexpr std::size_t kLanes = kRegisters * kLanesOfRegister;
  __m512 sums[kRows][kRegisters];
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < kRegisters; ++part) {
      sums[row][part] = _mm512_loadu_ps(out + row * kLanes + part * kLanesOfRegister);
    }
  }
  for (std::size_t pair = 0; pair < columns / 2; ++pair) {
    __m512bh x[kRegisters];
    for (int part = 0; part < kRegisters; ++part) {
      x[part] = (__m512bh)_mm512_loadu_si512(pairs + pair * kLanes + part * kLanesOfRegister);
    }
    for (int row = 0; row < kRows; ++row) {
      const __m512bh weight = broadcast_pair(matrix + row * columns + 2 * pair);
      for (int part = 0; part < kRegisters; ++part) {
        sums[row][part] = _mm512_dpbf16_ps(sums[row][part], x[part], weight);
      }
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < kRegisters; ++part) {
      _mm512_storeu_ps(out + row * kLanes + part * kLanesOfRegister, sums[row][part]);
    }
  }
}

// 24 registers of sums, or as near as whole rows come to it.
template <int kRegisters>
void product(const std::uint16_t* matrix, std::size_t rows, std::size_t columns,
             const std::uint32_t* pairs, float* out) {
  constexpr int kRows = 24 / kRegisters;
  constexpr std::size_t kLanes = kRegisters * kLanesOfRegister;
  std::size_t row = 0;
  for (; row + kRows <= rows; row += kRows) {
    rows_product<kRows, kRegisters>(matrix + row * columns, columns, pairs, out + row * kLanes);
  }
  for (; row < rows; ++row) {
    rows_product<1, kRegisters>(matrix + row * columns, columns, pairs, out + row * kLanes);
  }
}

}  // namespace

void avx512_bf16_pack_pairs(const float* x, std::size_t columns, std::size_t lanes,
                            std::uint32_t* pairs) {
  for (std::size_t pair = 0; pair < columns / 2; ++pair) {
    for (std::size_t lane = 0; lane < lanes; lane += kLanesOfRegister) {
      const float* even = x + 2 * pair * lanes + lane;
      const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(even)));
      const __m512i high =
          _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(even + lanes)));
      _mm512_storeu_si512(pairs + pair * lanes + lane,
                          _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
  }
}

void avx512_bf16_dense_product(const std::uint16_t* matrix, std::size_t rows, std::size_t columns,
                               const float* x, std::size_t lanes, std::uint32_t* pairs,
                               float* out) {
  avx512_bf16_pack_pairs(x, columns, lanes, pairs);
  switch (lanes / kLanesOfRegister) {
    case 1:
      return product<1>(matrix, rows, columns, pairs, out);
    case 2:
      return product<2>(matrix, rows, columns, pairs, out);
    case 3:
      return product<3>(matrix, rows, columns, pairs, out);
    default:
      return product<4>(matrix, rows, columns, pairs, out);
  }
}

}  // namespace sparsespeech
