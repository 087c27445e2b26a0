// The kernels of this folder, gathered into a table by kernels.cc.

#ifndef SPARSESPEECH_KERNELS_AVX512_FUNCTIONS_H_
#define SPARSESPEECH_KERNELS_AVX512_FUNCTIONS_H_

#include <cstddef>
#include <cstdint>

#include "sparsespeech/kernels.h"

namespace sparsespeech {

void avx512_sweep_product(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                          std::int32_t* acc);
void avx512_sweep_gate_sums(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                            const std::int16_t* stored, Rescale rescale,
                            const std::uint16_t* destination, std::int32_t* sums);
void avx512_quad_tile_product(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                              const std::uint8_t* x, std::int32_t* acc);
void avx512_dense_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                          const std::uint8_t* x, std::int32_t* acc);
void avx512_dense_tile_product(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                               const std::uint8_t* x, std::int32_t* acc);
void avx512_requantize(const std::int32_t* acc, std::size_t count, Rescale rescale, Clamp clamp,
                       std::uint8_t* y);
void avx512_store_gates(const std::int32_t* acc, std::size_t rows, Rescale rescale,
                        std::size_t columns, std::size_t stride, std::int16_t* y);
void avx512_gate_sums(const std::int32_t* acc, const std::int16_t* stored, std::size_t count,
                      Rescale rescale, const std::uint16_t* destination, std::int32_t* sums);
void avx512_lstm_cell(const std::int32_t* sums, std::size_t stride, std::size_t units,
                      const Peephole& peephole, const SigmoidTable& table, std::int16_t* cell,
                      std::uint8_t* h);
void avx512_transpose_block(const std::int32_t* acc, std::size_t rows, std::size_t stride,
                            std::int32_t* y);
void avx512_fill_tile(const std::uint8_t* const* x, std::size_t count, std::size_t values,
                      std::uint8_t* y);
void avx512_drain_tile(const std::uint8_t* x, std::size_t count, std::size_t values,
                       std::uint8_t* const* y);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_AVX512_FUNCTIONS_H_
