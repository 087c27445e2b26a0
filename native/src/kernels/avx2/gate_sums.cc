// Rule R5: the sum of the stored input part and the recurrent part.

#include "functions.h"
#include "rescale.h"

namespace sparsespeech {
namespace {

bool consecutive(__m128i destination) {
  const __m128i offset = _mm_sub_epi16(destination, _mm_broadcastw_epi16(destination));
  const __m128i equal = _mm_cmpeq_epi16(offset, _mm_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7));
  return _mm_movemask_epi8(equal) == 0xFFFF;
}

}  // namespace

void avx2_gate_sums(const std::int32_t* acc, const std::int16_t* stored, std::size_t count,
                    Rescale rescale, const std::uint16_t* destination, std::int32_t* sums) {
  with_rescaler(rescale, [&](const auto& rescaler) {
    for (std::size_t i = 0; i < count; i += 8) {
      const __m128i inputs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(stored + i));
      const __m256i sum =
          _mm256_add_epi32(rescaler(load_lanes(acc + i), i), _mm256_cvtepi16_epi32(inputs));
      const __m128i places = _mm_loadu_si128(reinterpret_cast<const __m128i*>(destination + i));
      if (consecutive(places)) {  // rows in their own order
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + destination[i]), sum);
        continue;
      }
      alignas(32) std::int32_t lane[8];
      _mm256_store_si256(reinterpret_cast<__m256i*>(lane), sum);
      for (std::size_t k = 0; k < 8; ++k) sums[destination[i + k]] = lane[k];
    }
  });
}

}  // namespace sparsespeech
