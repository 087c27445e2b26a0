// Limit loops of AVX-512 VNNI and VBMI.

#include "sparsespeech/limits.h"

#include <immintrin.h>

namespace sparsespeech {
namespace {

constexpr int kSums = 16;            // independent sums: enough to hide the latency
constexpr int kProductsOfStep = 64;  // bytes of a register

// Makes the compiler believe that `value` has changed, so that nothing leaves the loop.
inline void touch(__m512i& value) { __asm__ volatile("" : "+v"(value)); }

std::uint64_t fold(const __m512i* sums, int count) {
  __m512i all = sums[0];
  for (int i = 1; i < count; ++i) all = _mm512_xor_si512(all, sums[i]);
  alignas(64) std::uint64_t words[8];
  _mm512_store_si512(words, all);
  std::uint64_t folded = 0;
  for (const std::uint64_t word : words) folded ^= word;
  return folded;
}

std::uint64_t read_lines(const std::uint8_t* data, std::size_t lines) {
  __m512i sums[8];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  std::size_t line = 0;
  for (; line + 8 <= lines; line += 8) {
    for (int i = 0; i < 8; ++i) {
      sums[i] = _mm512_xor_si512(sums[i], _mm512_load_si512(data + 64 * (line + i)));
    }
  }
  for (; line < lines; ++line) {
    sums[0] = _mm512_xor_si512(sums[0], _mm512_load_si512(data + 64 * line));
  }
  return fold(sums, 8);
}

std::uint64_t multiply(std::size_t blocks) {
  __m512i sums[kSums];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  __m512i activations = _mm512_set1_epi8(1);
  const __m512i weights = _mm512_set1_epi8(3);
  for (std::size_t block = 0; block < blocks; ++block) {
    for (__m512i& sum : sums) {
      touch(activations);
      sum = _mm512_dpbusd_epi32(sum, activations, weights);
    }
  }
  return fold(sums, kSums);
}

std::uint64_t pick_and_multiply(std::size_t blocks) {
  __m512i sums[kSums];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  const __m512i low = _mm512_set1_epi8(1), high = _mm512_set1_epi8(2);
  const __m512i weights = _mm512_set1_epi8(3);
  __m512i indices = _mm512_set1_epi8(7);
  for (std::size_t block = 0; block < blocks; ++block) {
    for (__m512i& sum : sums) {
      touch(indices);
      sum = _mm512_dpbusd_epi32(sum, _mm512_permutex2var_epi8(low, indices, high), weights);
    }
  }
  return fold(sums, kSums);
}

constexpr LimitLoops kLoops{read_lines, multiply, pick_and_multiply, kSums * kProductsOfStep};

}  // namespace

const LimitLoops& avx512_limit_loops() { return kLoops; }

}  // namespace sparsespeech
