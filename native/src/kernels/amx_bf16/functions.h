// The functions of this folder; see training_kernels.h.

#ifndef SPARSESPEECH_KERNELS_AMX_BF16_FUNCTIONS_H_
#define SPARSESPEECH_KERNELS_AMX_BF16_FUNCTIONS_H_

#include "sparsespeech/training_kernels.h"

namespace sparsespeech {

// Those of avx512_bf16, with the dense product by tiles.
const TrainingKernels& amx_bf16_training_kernels();

void amx_bf16_dense_product(const std::uint16_t* matrix, std::size_t rows, std::size_t columns,
                            const float* x, std::size_t lanes, std::uint32_t* pairs, float* out);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AMX_BF16_FUNCTIONS_H_
