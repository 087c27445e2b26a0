#include "functions.h"

namespace sparsespeech {

const TrainingKernels& avx512_bf16_training_kernels() {
  static const TrainingKernels kernels{
      .name = "avx512_bf16",
      .to_lanes = avx512_bf16_to_lanes,
      .bf16_to_lanes = avx512_bf16_bf16_to_lanes,
      .from_lanes = avx512_bf16_from_lanes,
      .bf16_rows_to_lanes = avx512_bf16_bf16_rows_to_lanes,
      .bf16_lanes_to_rows = avx512_bf16_bf16_lanes_to_rows,
      .add_lanes = avx512_bf16_add_lanes,
      .sparse_product = avx512_bf16_sparse_product,
      .dense_product = avx512_bf16_dense_product,
      .pack_chunk = avx512_bf16_pack_chunk,
      .sparse_gradient = avx512_bf16_sparse_gradient,
      .lstm_step_forward = avx512_bf16_lstm_step_forward,
      .lstm_step_backward = avx512_bf16_lstm_step_backward,
  };
  return kernels;
}

}  // namespace sparsespeech
