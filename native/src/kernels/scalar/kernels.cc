// The table of the portable kernels.

#include "sparsespeech/kernels.h"

#include "functions.h"

namespace sparsespeech {
namespace {

constexpr Kernels kScalarKernels{
    .name = "scalar",
    .sweep_window = 0,
    .sweep_product = nullptr,
    .sweep_gate_sums = nullptr,
    .quad_product = scalar_quad_product,
    .dense_product = scalar_dense_product,
    .quad_tile_product = scalar_quad_tile_product,
    .dense_tile_product = scalar_dense_tile_product,
    .requantize = scalar_requantize,
    .store_gates = scalar_store_gates,
    .gate_sums = scalar_gate_sums,
    .lstm_cell = scalar_lstm_cell,
    .transpose_block = scalar_transpose_block,
    .fill_tile = scalar_fill_tile,
    .drain_tile = scalar_drain_tile,
};

}  // namespace

const Kernels& scalar_kernels() { return kScalarKernels; }

}  // namespace sparsespeech
