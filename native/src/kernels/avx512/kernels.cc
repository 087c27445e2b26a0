#include "sparsespeech/kernels.h"

#include "functions.h"

namespace sparsespeech {

const Kernels& avx512_kernels() {
  static const Kernels kernels{
      .name = "avx512",
      .sweep_window = 256,
      .sweep_product = avx512_sweep_product,
      .sweep_gate_sums = avx512_sweep_gate_sums,
      .quad_product = avx2_kernels().quad_product,
      .dense_product = avx512_dense_product,
      .quad_tile_product = avx512_quad_tile_product,
      .dense_tile_product = avx512_dense_tile_product,
      .requantize = avx512_requantize,
      .store_gates = avx512_store_gates,
      .gate_sums = avx512_gate_sums,
      .lstm_cell = avx512_lstm_cell,
      .transpose_block = avx512_transpose_block,
      .fill_tile = avx512_fill_tile,
      .drain_tile = avx512_drain_tile,
  };
  return kernels;
}

}  // namespace sparsespeech
