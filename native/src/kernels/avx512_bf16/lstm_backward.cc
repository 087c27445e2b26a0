// The non-linearities of one step of an LSTM, backward.

#include <immintrin.h>

#include "activations.h"
#include "functions.h"

namespace sparsespeech {
namespace {

constexpr float kCellLimit = 16.0F;

__m512 slope_of_sigmoid(__m512 y) { return _mm512_fnmadd_ps(y, y, y); }

__m512 slope_of_tangent(__m512 y) { return _mm512_fnmadd_ps(y, y, _mm512_set1_ps(1.0F)); }

}  // namespace

void avx512_bf16_lstm_step_backward(const LstmShape& shape, const LstmRounding& rounding,
                                    std::size_t step, const float* before, const float* cell,
                                    const float* grad_hidden, float* carried, float* gates) {
  const std::size_t part = shape.cells * shape.lanes;
  const __m512 highest = _mm512_set1_ps(kCellLimit - rounding.cell);
  const __m512 lowest = _mm512_set1_ps(-kCellLimit);
  for (std::size_t lane = 0; lane < shape.lanes; lane += kLanesOfRegister) {
    const __mmask16 real = _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(shape.lengths + lane),
                                                   _mm512_set1_epi32(static_cast<int>(step)));
    for (std::size_t i = lane; i < part; i += shape.lanes) {
      const __m512 input = _mm512_loadu_ps(gates + i);
      const __m512 forget = _mm512_loadu_ps(gates + part + i);
      const __m512 candidate = _mm512_loadu_ps(gates + 2 * part + i);
      const __m512 output = _mm512_loadu_ps(gates + 3 * part + i);
      const __m512 c = _mm512_loadu_ps(cell + i);
      const __m512 old = before != nullptr ? _mm512_loadu_ps(before + i) : _mm512_setzero_ps();
      const __m512 tanh_c = hyperbolic_tangent(c);
      const __m512 grad_h = _mm512_maskz_loadu_ps(real, grad_hidden + i);
      const __m512 through = _mm512_mul_ps(grad_h, _mm512_mul_ps(output, slope_of_tangent(tanh_c)));
      // No gradient passes a saturated cell, nor one without a frame.
      const __mmask16 open = _mm512_mask_cmp_ps_mask(
          _mm512_mask_cmp_ps_mask(real, c, highest, _CMP_LT_OQ), c, lowest, _CMP_GT_OQ);
      const __m512 grad_c = _mm512_maskz_add_ps(open, _mm512_loadu_ps(carried + i), through);
      const auto store = [&](int number, __m512 gradient) {
        _mm512_storeu_ps(gates + number * part + i, gradient);
      };
      store(0, _mm512_mul_ps(_mm512_mul_ps(grad_c, candidate), slope_of_sigmoid(input)));
      store(1, _mm512_mul_ps(_mm512_mul_ps(grad_c, old), slope_of_sigmoid(forget)));
      store(2, _mm512_mul_ps(_mm512_mul_ps(grad_c, input), slope_of_tangent(candidate)));
      store(3, _mm512_mul_ps(_mm512_mul_ps(grad_h, tanh_c), slope_of_sigmoid(output)));
      _mm512_storeu_ps(carried + i, _mm512_mul_ps(grad_c, forget));
    }
  }
}

}  // namespace sparsespeech
