// Rules R5 (saturation, peephole), R6, R7 and R8, unit by unit.

#include "fixed_point.h"
#include "functions.h"

namespace sparsespeech {
namespace {

// R6: Q4.11 to Q0.15.
std::int32_t sigmoid(std::int32_t x, const std::int16_t* base, const std::int16_t* slope) {
  const std::int32_t magnitude = x < 0 ? -x : x;
  std::int32_t y = base[64];
  if (magnitude < 16384) {
    const std::int32_t k = magnitude >> 8, fraction = magnitude & 255;
    y = base[k] + ((slope[k] * fraction + 128) >> 8);
  }
  return x < 0 ? 32768 - y : y;
}

std::int32_t tanh(std::int32_t x, const std::int16_t* base, const std::int16_t* slope) {
  return 2 * sigmoid(saturate16(2 * x), base, slope) - 32768;
}

// R5: the third term of a gate's sum.
std::int64_t peephole_term(const std::int16_t* weights, std::size_t unit, std::int16_t cell,
                           const Rescale& rescale) {
  return weights == nullptr ? 0 : rescaled(weights[unit] * cell, rescale, 0);
}

}  // namespace

void scalar_lstm_cell(const std::int32_t* sums, std::size_t stride, std::size_t units,
                      const Peephole& peephole, const SigmoidTable& table, std::int16_t* cell,
                      std::uint8_t* h) {
  const std::int16_t* base = table.base.data();
  const std::int16_t* slope = table.slope.data();
  for (std::size_t u = 0; u < units; ++u) {
    const std::int16_t old = cell[u];
    const auto gate = [&](std::size_t index, const std::int16_t* weights, std::int16_t c) {
      return saturate16(sums[index * stride + u] + peephole_term(weights, u, c, peephole.rescale));
    };
    const std::int32_t i = sigmoid(gate(0, peephole.input, old), base, slope);
    const std::int32_t f = sigmoid(gate(1, peephole.forget, old), base, slope);
    const std::int32_t g = tanh(gate(2, nullptr, old), base, slope);
    const std::int16_t c = saturate16((f * old + ((i * g + 8) >> 4) + (1 << 14)) >> 15);  // R7
    const std::int32_t o = sigmoid(gate(3, peephole.output, c), base, slope);
    const std::int32_t m = (o * tanh(c, base, slope) + (1 << 14)) >> 15;  // R8
    cell[u] = c;
    h[u] = static_cast<std::uint8_t>(((m * 65024 + (1 << 23)) >> 24) + 128);  // 1..255
  }
}

}  // namespace sparsespeech
