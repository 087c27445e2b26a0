// The functions of this folder; see training_kernels.h.

#ifndef SPARSESPEECH_KERNELS_AVX512_BF16_FUNCTIONS_H_
#define SPARSESPEECH_KERNELS_AVX512_BF16_FUNCTIONS_H_

#include "sparsespeech/training_kernels.h"

namespace sparsespeech {

const TrainingKernels& avx512_bf16_training_kernels();

void avx512_bf16_to_lanes(const float* x, std::size_t batch, std::size_t features,
                          std::size_t lanes, std::size_t stride, float* out);
void avx512_bf16_bf16_to_lanes(const std::uint16_t* x, std::size_t batch, std::size_t features,
                               std::size_t lanes, std::size_t stride, float* out);
void avx512_bf16_from_lanes(const float* x, std::size_t batch, std::size_t features,
                            std::size_t lanes, std::size_t stride, float* out);
void avx512_bf16_bf16_rows_to_lanes(const std::uint16_t* const* rows, std::size_t features,
                                    std::size_t lanes, float* out);
void avx512_bf16_bf16_lanes_to_rows(const float* x, std::size_t features, std::size_t lanes,
                                    std::uint16_t* const* rows);
void avx512_bf16_add_lanes(const float* x, std::size_t rows, std::size_t lanes, float* sums);
void avx512_bf16_sparse_product(const SparseRows& matrix, const float* bias, const float* x,
                                std::size_t columns, Steps shape, bool bfloat16, bool add,
                                float* packed, float* out);
// x [C][L] as bf16 [C / 2][L], a pair of columns a word; C even.
void avx512_bf16_pack_pairs(const float* x, std::size_t columns, std::size_t lanes,
                            std::uint32_t* pairs);
void avx512_bf16_dense_product(const std::uint16_t* matrix, std::size_t rows, std::size_t columns,
                               const float* x, std::size_t lanes, std::uint32_t* pairs, float* out);
void avx512_bf16_pack_chunk(const float* x, std::size_t rows, Steps shape, bool bfloat16,
                            float* out);
void avx512_bf16_sparse_gradient(const SparseRows& pattern, const float* g, const float* x,
                                 bool bfloat16, float* out);
void avx512_bf16_lstm_step_forward(const LstmShape& shape, const LstmRounding& rounding,
                                   std::size_t step, const float* bias, const float* recurrent,
                                   const float* before, float* gates, float* cell, float* hidden);
void avx512_bf16_lstm_step_backward(const LstmShape& shape, const LstmRounding& rounding,
                                    std::size_t step, const float* before, const float* cell,
                                    const float* grad_hidden, float* carried, float* gates);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX512_BF16_FUNCTIONS_H_
