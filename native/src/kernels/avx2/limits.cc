// Limit loops of AVX2. Products are 16 bit wide: vpmaddubsw saturates on real weights.

#include "sparsespeech/limits.h"

#include <immintrin.h>

namespace sparsespeech {
namespace {

constexpr int kSums = 8;             // independent sums: enough to hide the latency
constexpr int kProductsOfStep = 32;  // bytes of a register

// Makes the compiler believe that `value` has changed, so that nothing leaves the loop.
inline void touch(__m256i& value) { __asm__ volatile("" : "+x"(value)); }

std::uint64_t fold(const __m256i* sums, int count) {
  __m256i all = sums[0];
  for (int i = 1; i < count; ++i) all = _mm256_xor_si256(all, sums[i]);
  alignas(32) std::uint64_t words[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(words), all);
  return words[0] ^ words[1] ^ words[2] ^ words[3];
}

std::uint64_t read_lines(const std::uint8_t* data, std::size_t lines) {
  __m256i sums[8];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  const auto* words = reinterpret_cast<const __m256i*>(data);
  std::size_t line = 0;
  for (; line + 4 <= lines; line += 4, words += 8) {
    for (int i = 0; i < 8; ++i) sums[i] = _mm256_xor_si256(sums[i], _mm256_load_si256(words + i));
  }
  for (; line < lines; ++line, words += 2) {
    sums[0] = _mm256_xor_si256(sums[0], _mm256_load_si256(words));
    sums[1] = _mm256_xor_si256(sums[1], _mm256_load_si256(words + 1));
  }
  return fold(sums, 8);
}

// 32 products: two vpmaddwd of 16 each.
inline __m256i add_products(__m256i sum, __m256i low, __m256i high, __m256i weights) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(low, weights));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(high, weights));
}

std::uint64_t multiply(std::size_t blocks) {
  __m256i sums[kSums];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  __m256i activations = _mm256_set1_epi16(1);
  const __m256i weights = _mm256_set1_epi16(3);
  for (std::size_t block = 0; block < blocks; ++block) {
    for (__m256i& sum : sums) {
      touch(activations);
      sum = add_products(sum, activations, activations, weights);
    }
  }
  return fold(sums, kSums);
}

std::uint64_t pick_and_multiply(std::size_t blocks) {
  __m256i sums[kSums];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  const __m256i window = _mm256_set1_epi8(1), zero = _mm256_setzero_si256();
  const __m256i weights = _mm256_set1_epi16(3);
  __m256i indices = _mm256_set1_epi8(7);
  for (std::size_t block = 0; block < blocks; ++block) {
    for (__m256i& sum : sums) {
      touch(indices);
      const __m256i picked = _mm256_shuffle_epi8(window, indices);
      sum = add_products(sum, _mm256_unpacklo_epi8(picked, zero),
                         _mm256_unpackhi_epi8(picked, zero), weights);
    }
  }
  return fold(sums, kSums);
}

constexpr LimitLoops kLoops{read_lines, multiply, pick_and_multiply, kSums * kProductsOfStep};

}  // namespace

const LimitLoops& avx2_limit_loops() { return kLoops; }

}  // namespace sparsespeech
