// The gradient of the nonzeros of a matrix: sums over steps and lanes of products of two rows.
//
// A chunk of steps is repacked so that each row is kRegisters registers in a run: the row of g
// stays in registers while the rows of x that its nonzeros name come from the second-level cache.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kRegisters = kChunkFloats / 16;  // of one row in a chunk

struct Float32 {
  static constexpr std::size_t kValues = 16;  // in a register
  using Register = __m512;
  static Register load(const float* x) { return _mm512_loadu_ps(x); }
  static __m512 multiply(__m512 sum, Register a, Register b) { return _mm512_fmadd_ps(a, b, sum); }
};

struct Bfloat16 {
  static constexpr std::size_t kValues = 32;
  using Register = __m512bh;
  static Register load(const float* x) { return (Register)_mm512_loadu_si512(x); }
  static __m512 multiply(__m512 sum, Register a, Register b) { return _mm512_dpbf16_ps(sum, a, b); }
};

// Registers of one row: steps x lanes in order, then zeros. A register is 64 bytes in either form,
// so `out` [rows][kRegisters] counts 16 floats a register.
template <typename Number>
void pack(const float* x, std::size_t rows, Steps shape, float* out) {
  const std::size_t registers_of_step = shape.lanes / kLanesOfRegister;
  const auto value = [&](std::size_t row, std::size_t number) {
    const std::size_t step = number / registers_of_step;
    if (step >= shape.steps) return _mm512_setzero_ps();
    const std::size_t lane = number % registers_of_step * kLanesOfRegister;
    return _mm512_loadu_ps(x + (step * rows + row) * shape.lanes + lane);
  };
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t part = 0; part < kRegisters; ++part) {
      float* target = out + (row * kRegisters + part) * 16;
      if constexpr (Number::kValues == 16) {
        _mm512_storeu_ps(target, value(row, part));
      } else {
        const __m512bh pair = _mm512_cvtne2ps_pbh(value(row, 2 * part + 1), value(row, 2 * part));
        _mm512_storeu_si512(target, (__m512i)pair);
      }
    }
  }
}

// The four sums of the elements of four registers.
__m128 sums_of(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512d low = _mm512_castps_pd(ab), high = _mm512_castps_pd(cd);
  const __m512 all = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(low, high)),
                                   _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

template <typename Number>
void add_chunk(const SparseRows& pattern, const float* g, const float* x, float* out) {
  using Register = typename Number::Register;
  for (std::size_t row = 0; row < pattern.rows(); ++row) {
    Register left[kRegisters];
    for (std::size_t part = 0; part < kRegisters; ++part) {
      left[part] = Number::load(g + (row * kRegisters + part) * 16);
    }
    const auto product = [&](std::size_t nonzero) {
      const float* right = x + pattern.columns[nonzero] * kRegisters * 16;
      __m512 sum = _mm512_setzero_ps();
      for (std::size_t part = 0; part < kRegisters; ++part) {
        sum = Number::multiply(sum, left[part], Number::load(right + part * 16));
      }
      return sum;
    };
    const std::size_t end = pattern.first[row + 1];
    std::size_t nonzero = pattern.first[row];
    for (; nonzero + 4 <= end; nonzero += 4) {
      const __m128 four = sums_of(product(nonzero), product(nonzero + 1), product(nonzero + 2),
                                  product(nonzero + 3));
      _mm_storeu_ps(out + nonzero, _mm_add_ps(_mm_loadu_ps(out + nonzero), four));
    }
    for (; nonzero < end; ++nonzero) out[nonzero] += _mm512_reduce_add_ps(product(nonzero));
  }
}

}  // namespace

void avx512_bf16_pack_chunk(const float* x, std::size_t rows, Steps shape, bool bfloat16,
                            float* out) {
  if (bfloat16) {
    pack<Bfloat16>(x, rows, shape, out);
  } else {
    pack<Float32>(x, rows, shape, out);
  }
}

void avx512_bf16_sparse_gradient(const SparseRows& pattern, const float* g, const float* x,
                                 bool bfloat16, float* out) {
  if (bfloat16) {
    add_chunk<Bfloat16>(pattern, g, x, out);
  } else {
    add_chunk<Float32>(pattern, g, x, out);
  }
}

}  // namespace sparsespeech
