// Sigmoid and tanh of 16 floats; relative error of the exponential below 2^-22.

#ifndef SPARSESPEECH_KERNELS_AVX512_BF16_ACTIVATIONS_H_
#define SPARSESPEECH_KERNELS_AVX512_BF16_ACTIVATIONS_H_

#include <immintrin.h>

namespace sparsespeech {

// e^x: x is cut to +-87, split into n ln 2 + r with |r| <= ln 2 / 2, and e^r is its Taylor
// polynomial of degree 6.
inline __m512 exponential(__m512 x) {
  // The operand that may be NaN comes second, so that NaN stays NaN.
  x = _mm512_max_ps(_mm512_set1_ps(-87.0F), _mm512_min_ps(_mm512_set1_ps(87.0F), x));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504088896341F)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // ln 2 in two parts, so that n times the first is exact.
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375F), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4F), r);
  __m512 y = _mm512_set1_ps(1.0F / 720);
  constexpr float kCoefficients[] = {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F};
  for (const float coefficient : kCoefficients) {
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(coefficient));
  }
  return _mm512_scalef_ps(y, n);
}

inline __m512 sigmoid(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 below = exponential(_mm512_sub_ps(_mm512_setzero_ps(), x));
  return _mm512_div_ps(one, _mm512_add_ps(one, below));
}

inline __m512 hyperbolic_tangent(__m512 x) {
  const __m512 doubled = sigmoid(_mm512_add_ps(x, x));
  return _mm512_fmsub_ps(_mm512_set1_ps(2.0F), doubled, _mm512_set1_ps(1.0F));
}

}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX512_BF16_ACTIVATIONS_H_
