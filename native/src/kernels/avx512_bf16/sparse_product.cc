// The product of a sparse matrix with a few steps of activations.
//
// Each nonzero is loaded once for up to 64 values of x (four registers of sums), which hides its
// address arithmetic. The second-level cache delivers x at about a line in 1.2 cycles, and that
// is the limit; so x is rounded to bf16 where the caller allows it: one line then holds 32
// values, taken apart by a shift and a mask.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

// Where register number q of a block (16 values, steps x lanes in order) lies in [steps][rows][L].
std::size_t place(std::size_t q, std::size_t rows, std::size_t row, std::size_t lanes) {
  const std::size_t registers_of_step = lanes / kLanesOfRegister;
  const std::size_t step = q / registers_of_step, part = q % registers_of_step;
  return (step * rows + row) * lanes + part * kLanesOfRegister;
}

struct Float32 {
  static constexpr int kRegistersOfLine = 1;
  static void pack(const float* x, std::size_t columns, std::size_t lanes, int registers,
                   float* out) {
    for (std::size_t column = 0; column < columns; ++column) {
      for (int q = 0; q < registers; ++q, out += 16) {
        _mm512_storeu_ps(out, _mm512_loadu_ps(x + place(q, columns, column, lanes)));
      }
    }
  }
  static void accumulate(__m512 weight, const float* line, __m512* sums) {
    sums[0] = _mm512_fmadd_ps(weight, _mm512_loadu_ps(line), sums[0]);
  }
};

struct Bfloat16 {
  static constexpr int kRegistersOfLine = 2;  // low halves of the words, high halves
  static void pack(const float* x, std::size_t columns, std::size_t lanes, int registers,
                   float* out) {
    for (std::size_t column = 0; column < columns; ++column) {
      for (int q = 0; q < registers; q += 2, out += 16) {
        const auto half = [&](int number) {
          if (number >= registers) return _mm512_setzero_si512();
          const __m512 value = _mm512_loadu_ps(x + place(number, columns, column, lanes));
          return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(value));
        };
        _mm512_storeu_si512(out, _mm512_or_si512(half(q), _mm512_slli_epi32(half(q + 1), 16)));
      }
    }
  }
  static void accumulate(__m512 weight, const float* line, __m512* sums) {
    const __m512i pairs = _mm512_loadu_si512(line);
    const __m512 low = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    const __m512i mask = _mm512_set1_epi32(static_cast<int>(0xffff0000U));
    const __m512 high = _mm512_castsi512_ps(_mm512_and_si512(pairs, mask));
    sums[0] = _mm512_fmadd_ps(weight, low, sums[0]);
    sums[1] = _mm512_fmadd_ps(weight, high, sums[1]);
  }
};

// Steps of kRegisters registers a row; `packed` as Number::pack made it.
template <typename Number, int kRegisters>
void multiply(const SparseRows& matrix, const float* bias, const float* packed, std::size_t lanes,
              bool add, float* out) {
  constexpr int kLines = (kRegisters + Number::kRegistersOfLine - 1) / Number::kRegistersOfLine;
  constexpr int kSums = kLines * Number::kRegistersOfLine;
  const std::size_t rows = matrix.rows();
  const auto accumulate = [&](std::size_t nonzero, __m512* sums) {
    const __m512 weight = _mm512_set1_ps(matrix.values[nonzero]);
    const float* column = packed + static_cast<std::size_t>(matrix.columns[nonzero]) * kLines * 16;
    for (int line = 0; line < kLines; ++line) {
      Number::accumulate(weight, column + line * 16, sums + line * Number::kRegistersOfLine);
    }
  };
  for (std::size_t row = 0; row < rows; ++row) {
    // Two sets of sums: a single chain of additions would wait for itself.
    __m512 even[kSums], odd[kSums];
    for (int q = 0; q < kSums; ++q) {
      even[q] = _mm512_set1_ps(bias != nullptr ? bias[row] : 0.0F);
      odd[q] = _mm512_setzero_ps();
    }
    const std::size_t end = matrix.first[row + 1];
    std::size_t nonzero = matrix.first[row];
    for (; nonzero + 1 < end; nonzero += 2) {
      accumulate(nonzero, even);
      accumulate(nonzero + 1, odd);
    }
    if (nonzero < end) accumulate(nonzero, even);
    for (int q = 0; q < kRegisters; ++q) {
      float* target = out + place(q, rows, row, lanes);
      const __m512 sum = _mm512_add_ps(even[q], odd[q]);
      _mm512_storeu_ps(target, add ? _mm512_add_ps(_mm512_loadu_ps(target), sum) : sum);
    }
  }
}

template <typename Number>
void multiply_block(const SparseRows& matrix, const float* bias, const float* x,
                    std::size_t columns, Steps shape, bool add, float* packed, float* out) {
  const int registers = static_cast<int>(shape.steps * shape.lanes / kLanesOfRegister);
  Number::pack(x, columns, shape.lanes, registers, packed);
  switch (registers) {
    case 1:
      return multiply<Number, 1>(matrix, bias, packed, shape.lanes, add, out);
    case 2:
      return multiply<Number, 2>(matrix, bias, packed, shape.lanes, add, out);
    case 3:
      return multiply<Number, 3>(matrix, bias, packed, shape.lanes, add, out);
    default:
      return multiply<Number, 4>(matrix, bias, packed, shape.lanes, add, out);
  }
}

}  // namespace

void avx512_bf16_sparse_product(const SparseRows& matrix, const float* bias, const float* x,
                                std::size_t columns, Steps shape, bool bfloat16, bool add,
                                float* packed, float* out) {
  if (bfloat16) {
    multiply_block<Bfloat16>(matrix, bias, x, columns, shape, add, packed, out);
  } else {
    multiply_block<Float32>(matrix, bias, x, columns, shape, add, packed, out);
  }
}

}  // namespace sparsespeech
