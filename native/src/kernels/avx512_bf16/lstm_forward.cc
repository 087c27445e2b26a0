// The non-linearities of one step of an LSTM, forward.

#include <immintrin.h>

#include "activations.h"
#include "functions.h"

namespace sparsespeech {
namespace {

constexpr float kCellLimit = 16.0F;  // the cell of every model saturates there

// Multiples of a step size, rounded half up, then held to a range; step 0 leaves x as it is.
class Rounding {
 public:
  Rounding(float step, float low, float high)
      : active_(step > 0),
        step_(_mm512_set1_ps(step)),
        inverse_(_mm512_set1_ps(active_ ? 1.0F / step : 0.0F)),
        low_(_mm512_set1_ps(low)),
        high_(_mm512_set1_ps(high)) {}

  __m512 nearest(__m512 x) const {
    if (!active_) return x;
    const __m512 shifted = _mm512_fmadd_ps(x, inverse_, _mm512_set1_ps(0.5F));
    const __m512 whole = _mm512_roundscale_ps(shifted, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    return _mm512_mul_ps(whole, step_);
  }

  __m512 saturated(__m512 x) const {
    return active_ ? _mm512_max_ps(low_, _mm512_min_ps(high_, x)) : x;
  }

 private:
  bool active_;
  __m512 step_, inverse_, low_, high_;
};

__m512 load_or_zero(const float* x, std::size_t i) {
  return x != nullptr ? _mm512_loadu_ps(x + i) : _mm512_setzero_ps();
}

}  // namespace

void avx512_bf16_lstm_step_forward(const LstmShape& shape, const LstmRounding& rounding,
                                   std::size_t step, const float* bias, const float* recurrent,
                                   const float* before, float* gates, float* cell, float* hidden) {
  const Rounding gate_grid(rounding.gates, -kCellLimit, kCellLimit - rounding.gates);
  const Rounding cell_grid(rounding.cell, -kCellLimit, kCellLimit - rounding.cell);
  // The integers of the output: 8 bits for steps of 1/127, 16 for 1/32768.
  const float hidden_steps = rounding.hidden > 1.0F / 256 ? 128.0F : 32768.0F;
  const Rounding hidden_grid(rounding.hidden, -hidden_steps * rounding.hidden,
                             (hidden_steps - 1) * rounding.hidden);
  const std::size_t part = shape.cells * shape.lanes;
  const __m512 limit = _mm512_set1_ps(kCellLimit), lowest = _mm512_set1_ps(-kCellLimit);
  for (std::size_t lane = 0; lane < shape.lanes; lane += kLanesOfRegister) {
    const __mmask16 real = _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(shape.lengths + lane),
                                                   _mm512_set1_epi32(static_cast<int>(step)));
    for (std::size_t unit = 0; unit < shape.cells; ++unit) {
      const std::size_t i = unit * shape.lanes + lane;
      const auto sum = [&](int gate) {
        const __m512 offset = _mm512_set1_ps(bias[gate * shape.cells + unit]);
        const __m512 input = gate_grid.saturated(
            gate_grid.nearest(_mm512_add_ps(_mm512_loadu_ps(gates + gate * part + i), offset)));
        const __m512 fed_back = gate_grid.nearest(load_or_zero(recurrent, gate * part + i));
        return gate_grid.saturated(_mm512_add_ps(input, fed_back));
      };
      const __m512 input = sigmoid(sum(0)), forget = sigmoid(sum(1));
      const __m512 candidate = hyperbolic_tangent(sum(2)), output = sigmoid(sum(3));
      const __m512 old = load_or_zero(before, i);
      __m512 c = _mm512_fmadd_ps(input, candidate, _mm512_mul_ps(forget, old));
      c = cell_grid.saturated(cell_grid.nearest(_mm512_max_ps(lowest, _mm512_min_ps(limit, c))));
      c = _mm512_maskz_mov_ps(real, c);
      const __m512 h = _mm512_mul_ps(output, hyperbolic_tangent(c));
      _mm512_storeu_ps(gates + i, input);
      _mm512_storeu_ps(gates + part + i, forget);
      _mm512_storeu_ps(gates + 2 * part + i, candidate);
      _mm512_storeu_ps(gates + 3 * part + i, output);
      _mm512_storeu_ps(cell + i, c);
      const __m512 rounded = hidden_grid.saturated(hidden_grid.nearest(h));
      _mm512_storeu_ps(hidden + i, _mm512_maskz_mov_ps(real, rounded));
    }
  }
}

}  // namespace sparsespeech
