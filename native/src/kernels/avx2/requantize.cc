// Rule R4.

#include "../scalar/fixed_point.h"
#include "functions.h"
#include "rescale.h"

namespace sparsespeech {

void avx2_requantize(const std::int32_t* acc, std::size_t count, Rescale rescale, Clamp limits,
                     std::uint8_t* y) {
  std::size_t i = 0;
  with_rescaler(rescale, [&](const auto& rescaler) {
    const __m256i zero_point = _mm256_set1_epi32(limits.zero_point);
    const __m256i low = _mm256_set1_epi8(static_cast<char>(limits.low));
    const __m256i high = _mm256_set1_epi8(static_cast<char>(limits.high));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const auto eight = [&](std::size_t k) {
      return _mm256_add_epi32(rescaler(load_lanes(acc + k), k), zero_point);
    };
    for (; i + 32 <= count; i += 32) {
      // The packs saturate to 0..255, which holds [low, high], and interleave 128-bit halves.
      const __m256i first = _mm256_packs_epi32(eight(i), eight(i + 8));
      const __m256i second = _mm256_packs_epi32(eight(i + 16), eight(i + 24));
      __m256i bytes = _mm256_packus_epi16(first, second);
      bytes = _mm256_permutevar8x32_epi32(bytes, order);
      bytes = _mm256_min_epu8(_mm256_max_epu8(bytes, low), high);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), bytes);
    }
  });
  for (; i < count; ++i) {
    const std::int64_t value = rescaled(acc[i], rescale, i) + limits.zero_point;
    y[i] = static_cast<std::uint8_t>(clamp(value, limits.low, limits.high));
  }
}

}  // namespace sparsespeech
