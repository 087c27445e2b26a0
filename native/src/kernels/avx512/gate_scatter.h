// The last step of R5's sums: the stored input part, and the way from slots to units.

#ifndef SPARSESPEECH_KERNELS_AVX512_GATE_SCATTER_H_
#define SPARSESPEECH_KERNELS_AVX512_GATE_SCATTER_H_

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace sparsespeech {
namespace {

// sums[destination[i]] = stored[i] + rescaled[i] for 16 slots. Sixteen plain stores: a scatter
// instruction is no faster, and wants destinations of 32 bits.
inline void scatter_gate_sums(__m512i rescaled, const std::int16_t* stored,
                              const std::uint16_t* destination, std::int32_t* sums) {
  const __m256i input = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(stored));
  alignas(64) std::int32_t lanes[16];
  _mm512_store_si512(lanes, _mm512_add_epi32(rescaled, _mm512_cvtepi16_epi32(input)));
#pragma GCC unroll 16
  for (std::size_t lane = 0; lane < 16; ++lane) sums[destination[lane]] = lanes[lane];
}

}  // namespace
}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX512_GATE_SCATTER_H_
