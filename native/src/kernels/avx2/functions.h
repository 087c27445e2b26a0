// The kernels of this folder, gathered into a table by kernels.cc; contracts in kernels.h.

#ifndef SPARSESPEECH_KERNELS_AVX2_FUNCTIONS_H_
#define SPARSESPEECH_KERNELS_AVX2_FUNCTIONS_H_

#include "sparsespeech/kernels.h"

namespace sparsespeech {

void avx2_sweep_product(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                        std::int32_t* acc);
void avx2_sweep_gate_sums(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                          const std::int16_t* stored, Rescale rescale,
                          const std::uint16_t* destination, std::int32_t* sums);
void avx2_quad_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                       const std::uint8_t* x, std::int32_t* acc);
void avx2_dense_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                        const std::uint8_t* x, std::int32_t* acc);
void avx2_quad_tile_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                            const std::uint8_t* x, std::int32_t* acc);
void avx2_dense_tile_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                             const std::uint8_t* x, std::int32_t* acc);
void avx2_requantize(const std::int32_t* acc, std::size_t count, Rescale rescale, Clamp clamp,
                     std::uint8_t* y);
void avx2_store_gates(const std::int32_t* acc, std::size_t rows, Rescale rescale,
                      std::size_t columns, std::size_t stride, std::int16_t* y);
void avx2_gate_sums(const std::int32_t* acc, const std::int16_t* stored, std::size_t count,
                    Rescale rescale, const std::uint16_t* destination, std::int32_t* sums);
void avx2_lstm_cell(const std::int32_t* sums, std::size_t stride, std::size_t units,
                    const Peephole& peephole, const SigmoidTable& table, std::int16_t* cell,
                    std::uint8_t* h);
void avx2_transpose_block(const std::int32_t* acc, std::size_t rows, std::size_t stride,
                          std::int32_t* y);
void avx2_fill_tile(const std::uint8_t* const* x, std::size_t count, std::size_t values,
                    std::uint8_t* y);
void avx2_drain_tile(const std::uint8_t* x, std::size_t count, std::size_t values,
                     std::uint8_t* const* y);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX2_FUNCTIONS_H_
