// The table of the AVX2 kernels.

#include "sparsespeech/kernels.h"

#include "functions.h"

namespace sparsespeech {
namespace {

constexpr Kernels kAvx2Kernels{
    .name = "avx2",
    .sweep_window = 96,
    .sweep_product = avx2_sweep_product,
    .sweep_gate_sums = avx2_sweep_gate_sums,
    .quad_product = avx2_quad_product,
    .dense_product = avx2_dense_product,
    .quad_tile_product = avx2_quad_tile_product,
    .dense_tile_product = avx2_dense_tile_product,
    .requantize = avx2_requantize,
    .store_gates = avx2_store_gates,
    .gate_sums = avx2_gate_sums,
    .lstm_cell = avx2_lstm_cell,
    .transpose_block = avx2_transpose_block,
    .fill_tile = avx2_fill_tile,
    .drain_tile = avx2_drain_tile,
};

}  // namespace

const Kernels& avx2_kernels() { return kAvx2Kernels; }

}  // namespace sparsespeech
