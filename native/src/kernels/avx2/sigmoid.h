// Rule R6 on 32 values. Internal linkage on purpose, see scalar/fixed_point.h.
//
// A table of 64 bytes is four registers of 16, and a byte shuffle looks one of them up and gives
// 0 where bit 7 of the index is set. The register j > 0 holds the difference (exclusive or) to
// the register below it and is indexed with k - 16 * j: bit 7 is clear exactly where k has
// reached it, so the differences up to the wanted register, and no others, add up.

#ifndef SPARSESPEECH_KERNELS_AVX2_SIGMOID_H_
#define SPARSESPEECH_KERNELS_AVX2_SIGMOID_H_

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "sparsespeech/integer_model.h"

namespace sparsespeech {
namespace {

struct Words32 {  // 32 values of 16 bits
  __m256i first, second;
};

struct ByteTable {
  __m256i part[4];
};

struct Indices {
  __m256i part[4];  // k - 16 * j
};

Indices indices_of(__m256i k) {
  return {{k, _mm256_sub_epi8(k, _mm256_set1_epi8(16)), _mm256_sub_epi8(k, _mm256_set1_epi8(32)),
           _mm256_sub_epi8(k, _mm256_set1_epi8(48))}};
}

__m256i look_up(const ByteTable& table, const Indices& k) {
  const __m256i low = _mm256_xor_si256(_mm256_shuffle_epi8(table.part[0], k.part[0]),
                                       _mm256_shuffle_epi8(table.part[1], k.part[1]));
  const __m256i high = _mm256_xor_si256(_mm256_shuffle_epi8(table.part[2], k.part[2]),
                                        _mm256_shuffle_epi8(table.part[3], k.part[3]));
  return _mm256_xor_si256(low, high);
}

// The 64 words of a table, split into their bytes.
class WordTable {
 public:
  explicit WordTable(const std::int16_t* words) {
    const __m128i mask = _mm_set1_epi16(0xFF);
    __m128i low_before = _mm_setzero_si128(), high_before = low_before;
    for (std::size_t j = 0; j < 4; ++j) {
      const auto* data = reinterpret_cast<const __m128i*>(words + 16 * j);
      const __m128i a = _mm_loadu_si128(data), b = _mm_loadu_si128(data + 1);
      const __m128i low = _mm_packus_epi16(_mm_and_si128(a, mask), _mm_and_si128(b, mask));
      const __m128i high = _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8));
      low_.part[j] = _mm256_broadcastsi128_si256(_mm_xor_si128(low, low_before));
      high_.part[j] = _mm256_broadcastsi128_si256(_mm_xor_si128(high, high_before));
      low_before = low;
      high_before = high;
    }
  }

  // The words of 32 indices that _mm256_packus_epi16 packed from 2 x 16.
  Words32 operator[](const Indices& k) const {
    const __m256i low = look_up(low_, k), high = look_up(high_, k);
    return {_mm256_unpacklo_epi8(low, high), _mm256_unpackhi_epi8(low, high)};
  }

 private:
  ByteTable low_, high_;
};

class Sigmoid {
 public:
  explicit Sigmoid(const SigmoidTable& table)
      : base_(table.base.data()), slope_(table.slope.data()) {}

  // Q4.11 to Q0.15.
  Words32 sigmoid(Words32 x) const {
    // The last segment is nearly flat: at 16383 it gives base[64], the value of all beyond.
    const __m256i limit = _mm256_set1_epi16(16383);
    const __m256i a = _mm256_min_epu16(_mm256_abs_epi16(x.first), limit);
    const __m256i b = _mm256_min_epu16(_mm256_abs_epi16(x.second), limit);
    const Indices k =
        indices_of(_mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8)));
    const Words32 base = base_[k], slope = slope_[k];
    return {with_sign(interpolated(base.first, slope.first, a), x.first),
            with_sign(interpolated(base.second, slope.second, b), x.second)};
  }

  Words32 tanh(Words32 x) const {
    const Words32 y = sigmoid({_mm256_adds_epi16(x.first, x.first),  //
                               _mm256_adds_epi16(x.second, x.second)});
    return {centred(y.first), centred(y.second)};
  }

 private:
  // base + ((slope * frac + 128) >> 8); mulhrs is (a * b + 2^14) >> 15, here of frac * 128.
  static __m256i interpolated(__m256i base, __m256i slope, __m256i magnitude) {
    const __m256i fraction =
        _mm256_and_si256(_mm256_slli_epi16(magnitude, 7), _mm256_set1_epi16(255 << 7));
    return _mm256_add_epi16(base, _mm256_mulhrs_epi16(slope, fraction));
  }

  // y, or 32768 - y where x < 0
  static __m256i with_sign(__m256i y, __m256i x) {
    const __m256i negative = _mm256_srai_epi16(x, 15);
    const __m256i one = _mm256_and_si256(negative, _mm256_set1_epi16(INT16_MIN));
    return _mm256_add_epi16(_mm256_sub_epi16(_mm256_xor_si256(y, negative), negative), one);
  }

  // 2 * y - 32768
  static __m256i centred(__m256i y) {
    return _mm256_xor_si256(_mm256_add_epi16(y, y), _mm256_set1_epi16(INT16_MIN));
  }

  WordTable base_, slope_;
};

}  // namespace
}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX2_SIGMOID_H_
