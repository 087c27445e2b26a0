// Rule R4' on 16 accumulators at once: exact 64-bit products, one rounding half up.

#ifndef SPARSESPEECH_KERNELS_AVX512_RESCALE_H_
#define SPARSESPEECH_KERNELS_AVX512_RESCALE_H_

#include <immintrin.h>

#include "sparsespeech/kernels.h"

namespace sparsespeech {
namespace {

// The multipliers and shifts of 16 accumulators, split into even and odd lanes of 64 bits.
class Rescaler {
 public:
  // One pair for all 16 lanes.
  Rescaler(std::int32_t multiplier, std::int32_t shift)
      : Rescaler(_mm512_set1_epi32(multiplier), _mm512_set1_epi32(shift)) {}

  // A pair for each lane.
  Rescaler(__m512i multiplier, __m512i shift) {
    const __m512i one = _mm512_set1_epi64(1);
    even_multiplier_ = multiplier;
    odd_multiplier_ = _mm512_srli_epi64(multiplier, 32);
    even_shift_ = _mm512_and_si512(shift, _mm512_set1_epi64(0xFFFFFFFF));
    odd_shift_ = _mm512_srli_epi64(shift, 32);
    even_half_ = _mm512_sllv_epi64(one, _mm512_sub_epi64(even_shift_, one));
    odd_half_ = _mm512_sllv_epi64(one, _mm512_sub_epi64(odd_shift_, one));
  }

  __m512i operator()(__m512i acc) const {
    const __m512i even = _mm512_mul_epi32(acc, even_multiplier_);
    const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(acc, 32), odd_multiplier_);
    const __m512i low = _mm512_srav_epi64(_mm512_add_epi64(even, even_half_), even_shift_);
    const __m512i high = _mm512_srav_epi64(_mm512_add_epi64(odd, odd_half_), odd_shift_);
    return _mm512_mask_blend_epi32(0xAAAA, low, _mm512_slli_epi64(high, 32));
  }

 private:
  __m512i even_multiplier_, odd_multiplier_, even_shift_, odd_shift_, even_half_, odd_half_;
};

// Loads the pairs of lanes `first` and on; lanes outside `mask` are harmless.
inline Rescaler load_rescaler(const Rescale& rescale, std::size_t first, __mmask16 mask) {
  if (rescale.stride == 0) return Rescaler(*rescale.multiplier, *rescale.shift);
  const __m512i one = _mm512_set1_epi32(1);
  return Rescaler(_mm512_maskz_loadu_epi32(mask, rescale.multiplier + first),
                  _mm512_mask_loadu_epi32(one, mask, rescale.shift + first));
}

// The lanes of 16 that lie below `count`.
inline __mmask16 first_lanes(std::size_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFFU : (1U << count) - 1U);
}

}  // namespace
}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX512_RESCALE_H_
