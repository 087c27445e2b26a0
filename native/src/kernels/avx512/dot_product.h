// vpdpbusd without the register copies that gcc 12 puts around its intrinsic.

#ifndef SPARSESPEECH_KERNELS_AVX512_DOT_PRODUCT_H_
#define SPARSESPEECH_KERNELS_AVX512_DOT_PRODUCT_H_

#include <immintrin.h>

namespace sparsespeech {
namespace {

// sums[lane] += the four products of uint8 `activations` and int8 `weights` of each lane, exact.
inline void add_dot_products(__m512i& sums, __m512i activations, __m512i weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(activations), "vm"(weights));
}

}  // namespace
}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX512_DOT_PRODUCT_H_
