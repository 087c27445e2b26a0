// Rule R4 on eight values. Internal linkage on purpose, see scalar/fixed_point.h.
//
// AVX2 has no arithmetic shift of 64-bit lanes. |R4'| < 2^30 fits the low 32 bits of the shifted
// sum, which are the high 32 bits of the sum shifted left by 32 - s; for s > 32 they are the high
// half itself, shifted right (with its sign) by s - 32.

#ifndef SPARSESPEECH_KERNELS_AVX2_RESCALE_H_
#define SPARSESPEECH_KERNELS_AVX2_RESCALE_H_

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "sparsespeech/kernels.h"

namespace sparsespeech {
namespace {

constexpr int kOddLanes = 0xAA;

__m256i load_lanes(const void* data) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(data));
}

// One multiplier and shift for all values.
class UniformRescaler {
 public:
  explicit UniformRescaler(const Rescale& rescale)
      : multiplier_(_mm256_set1_epi32(rescale.multiplier[0])),
        half_(_mm256_set1_epi64x(std::int64_t{1} << (rescale.shift[0] - 1))),
        left_(_mm_cvtsi32_si128(rescale.shift[0] < 32 ? 32 - rescale.shift[0] : 0)),
        right_(_mm_cvtsi32_si128(rescale.shift[0] > 32 ? rescale.shift[0] - 32 : 0)) {}

  __m256i operator()(__m256i acc, std::size_t = 0) const {
    const __m256i even = sum(acc), odd = sum(_mm256_srli_epi64(acc, 32));
    const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, kOddLanes);
    return _mm256_sra_epi32(high, right_);
  }

 private:
  __m256i sum(__m256i acc) const {
    return _mm256_sll_epi64(_mm256_add_epi64(_mm256_mul_epi32(acc, multiplier_), half_), left_);
  }

  __m256i multiplier_, half_;
  __m128i left_, right_;
};

// A multiplier and a shift for each value.
class RowRescaler {
 public:
  explicit RowRescaler(const Rescale& rescale)
      : multiplier_(rescale.multiplier), shift_(rescale.shift) {}

  // `index` is that of the first of the eight values.
  __m256i operator()(__m256i acc, std::size_t index) const {
    const __m256i multiplier = load_lanes(multiplier_ + index);
    const __m256i shift = load_lanes(shift_ + index);
    const __m256i word = _mm256_set1_epi32(32), zero = _mm256_setzero_si256();
    const __m256i half = _mm256_sub_epi32(shift, _mm256_set1_epi32(1));
    const __m256i left = _mm256_max_epi32(_mm256_sub_epi32(word, shift), zero);
    const __m256i right = _mm256_max_epi32(_mm256_sub_epi32(shift, word), zero);
    const __m256i even = sum(acc, multiplier, low_half(half), low_half(left));
    const __m256i odd = sum(_mm256_srli_epi64(acc, 32), _mm256_srli_epi64(multiplier, 32),
                            _mm256_srli_epi64(half, 32), _mm256_srli_epi64(left, 32));
    const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, kOddLanes);
    return _mm256_srav_epi32(high, right);
  }

 private:
  static __m256i low_half(__m256i lanes) {
    return _mm256_blend_epi32(lanes, _mm256_setzero_si256(), kOddLanes);
  }

  // (acc * M + 2^half) << left, of the low 32 bits of each lane
  static __m256i sum(__m256i acc, __m256i multiplier, __m256i half, __m256i left) {
    const __m256i rounding = _mm256_sllv_epi64(_mm256_set1_epi64x(1), half);
    const __m256i product = _mm256_mul_epi32(acc, multiplier);
    return _mm256_sllv_epi64(_mm256_add_epi64(product, rounding), left);
  }

  const std::int32_t* multiplier_;
  const std::int32_t* shift_;
};

// Calls `body` with the rescaler of `rescale`.
template <typename Body>
void with_rescaler(const Rescale& rescale, const Body& body) {
  if (rescale.stride == 0) {
    body(UniformRescaler(rescale));
  } else {
    body(RowRescaler(rescale));
  }
}

}  // namespace
}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX2_RESCALE_H_
