// Rules R5 (saturation, peephole), R6, R7 and R8, 32 units at a time.

#include <cstring>

#include "functions.h"
#include "rescale.h"
#include "sigmoid.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kUnits = 32;  // units of a step

__m256i widened(const std::int16_t* words) {
  return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words)));
}

// R5: the 32 saturated sums of one gate; `weights` is null for a gate without peephole.
Words32 gate(const std::int32_t* sums, const std::int16_t* weights, const std::int16_t* cell,
             const UniformRescaler* rescaler) {
  const auto eight = [&](std::size_t k) {
    const __m256i sum = load_lanes(sums + k);
    if (weights == nullptr) return sum;
    const __m256i product = _mm256_mullo_epi32(widened(weights + k), widened(cell + k));
    return _mm256_add_epi32(sum, (*rescaler)(product, k));
  };
  const auto sixteen = [&](std::size_t k) {
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(eight(k), eight(k + 8)), 0xD8);
  };
  return {sixteen(0), sixteen(16)};
}

// R7: c = saturate16((f*c + ((i*g + 8) >> 4) + 2^14) >> 15) for 16 units.
__m256i next_cell(__m256i i, __m256i f, __m256i g, __m256i c) {
  const __m256i fc_low = _mm256_mullo_epi16(f, c), fc_high = _mm256_mulhi_epi16(f, c);
  const __m256i ig_low = _mm256_mullo_epi16(i, g), ig_high = _mm256_mulhi_epi16(i, g);
  const auto eight = [](__m256i fc, __m256i ig) {
    const __m256i input = _mm256_srai_epi32(_mm256_add_epi32(ig, _mm256_set1_epi32(8)), 4);
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(fc, input), _mm256_set1_epi32(1 << 14));
    return _mm256_srai_epi32(sum, 15);
  };
  // Unpacking and packing act on the same 128-bit halves: the order of units comes back.
  return _mm256_packs_epi32(
      eight(_mm256_unpacklo_epi16(fc_low, fc_high), _mm256_unpacklo_epi16(ig_low, ig_high)),
      eight(_mm256_unpackhi_epi16(fc_low, fc_high), _mm256_unpackhi_epi16(ig_low, ig_high)));
}

// R8 for 16 units: 65024 / 2^24 = 127 / 2^15, and mulhrs is (a * b + 2^14) >> 15.
__m256i output(__m256i o, __m256i tanh_c) {
  const __m256i h = _mm256_mulhrs_epi16(_mm256_mulhrs_epi16(o, tanh_c), _mm256_set1_epi16(127));
  return _mm256_add_epi16(h, _mm256_set1_epi16(128));
}

struct Step {
  std::size_t stride;
  Peephole peephole;                // null weights where the layer has none
  const UniformRescaler* rescaler;  // null then
  Sigmoid activation;

  // 32 units from `u` on.
  void operator()(const std::int32_t* sums, std::size_t u, std::int16_t* cell,
                  std::uint8_t* h) const {
    const auto weights = [u](const std::int16_t* data) {
      return data == nullptr ? data : data + u;
    };
    const Words32 i =
        activation.sigmoid(gate(sums + u, weights(peephole.input), cell + u, rescaler));
    const Words32 f =
        activation.sigmoid(gate(sums + stride + u, weights(peephole.forget), cell + u, rescaler));
    const Words32 g = activation.tanh(gate(sums + 2 * stride + u, nullptr, nullptr, nullptr));
    const Words32 c{next_cell(i.first, f.first, g.first, load_lanes(cell + u)),
                    next_cell(i.second, f.second, g.second, load_lanes(cell + u + 16))};
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(cell + u), c.first);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(cell + u + 16), c.second);
    const Words32 o = activation.sigmoid(
        gate(sums + 3 * stride + u, weights(peephole.output), cell + u, rescaler));
    const Words32 tanh_c = activation.tanh(c);
    const __m256i bytes =
        _mm256_packus_epi16(output(o.first, tanh_c.first), output(o.second, tanh_c.second));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(h + u), _mm256_permute4x64_epi64(bytes, 0xD8));
  }
};

// Fewer than 32 units: a step on copies.
void partial_step(const Step& step, const std::int32_t* sums, std::size_t first, std::size_t count,
                  std::int16_t* cell, std::uint8_t* h) {
  std::int32_t sums_copy[4 * kUnits] = {};
  std::int16_t weights_copy[3 * kUnits] = {}, cell_copy[kUnits] = {};
  std::uint8_t h_copy[kUnits] = {};
  for (std::size_t k = 0; k < 4; ++k) {
    std::memcpy(sums_copy + k * kUnits, sums + k * step.stride + first, count * sizeof(*sums));
  }
  std::memcpy(cell_copy, cell + first, count * sizeof(*cell));
  Step copy = step;
  copy.stride = kUnits;
  const std::int16_t** weights[] = {&copy.peephole.input, &copy.peephole.forget,
                                    &copy.peephole.output};
  for (std::size_t k = 0; k < 3 && step.rescaler != nullptr; ++k) {
    std::memcpy(weights_copy + k * kUnits, *weights[k] + first, count * sizeof(**weights[k]));
    *weights[k] = weights_copy + k * kUnits;
  }
  copy(sums_copy, 0, cell_copy, h_copy);
  std::memcpy(cell + first, cell_copy, count * sizeof(*cell));
  std::memcpy(h + first, h_copy, count);
}

}  // namespace

void avx2_lstm_cell(const std::int32_t* sums, std::size_t stride, std::size_t units,
                    const Peephole& peephole, const SigmoidTable& table, std::int16_t* cell,
                    std::uint8_t* h) {
  const auto run = [&](const UniformRescaler* rescaler) {
    const Step step{stride, peephole, rescaler, Sigmoid(table)};
    std::size_t u = 0;
    for (; u + kUnits <= units; u += kUnits) step(sums, u, cell, h);
    if (u < units) partial_step(step, sums, u, units - u, cell, h);
  };
  if (peephole.input == nullptr) {
    run(nullptr);
  } else {
    const UniformRescaler rescaler(peephole.rescale);
    run(&rescaler);
  }
}

}  // namespace sparsespeech
