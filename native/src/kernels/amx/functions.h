// The kernels of this folder, gathered into a table by kernels.cc.

#ifndef SPARSESPEECH_KERNELS_AMX_FUNCTIONS_H_
#define SPARSESPEECH_KERNELS_AMX_FUNCTIONS_H_

#include <cstddef>
#include <cstdint>

#include "sparsespeech/dense_matrix.h"

namespace sparsespeech {

void amx_dense_tile_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                            const std::uint8_t* x, std::int32_t* acc);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AMX_FUNCTIONS_H_
