// Rule R4: accumulators to uint8 activations.

#include "functions.h"
#include "rescale.h"

namespace sparsespeech {

void avx512_requantize(const std::int32_t* acc, std::size_t count, Rescale rescale, Clamp clamp,
                       std::uint8_t* y) {
  const __m512i zero_point = _mm512_set1_epi32(clamp.zero_point);
  const __m512i low = _mm512_set1_epi32(clamp.low), high = _mm512_set1_epi32(clamp.high);
  Rescaler rescaler = load_rescaler(rescale, 0, first_lanes(count));
  for (std::size_t i = 0; i < count; i += 16) {
    const __mmask16 mask = first_lanes(count - i);
    if (rescale.stride != 0) rescaler = load_rescaler(rescale, i, mask);
    const __m512i value =
        _mm512_add_epi32(rescaler(_mm512_maskz_loadu_epi32(mask, acc + i)), zero_point);
    const __m512i clamped = _mm512_min_epi32(_mm512_max_epi32(value, low), high);
    _mm512_mask_cvtepi32_storeu_epi8(y + i, mask, clamped);
  }
}

}  // namespace sparsespeech
