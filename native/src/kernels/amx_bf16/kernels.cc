#include "../avx512_bf16/functions.h"
#include "functions.h"

namespace sparsespeech {

const TrainingKernels& amx_bf16_training_kernels() {
  static const TrainingKernels kernels = [] {
    TrainingKernels set = avx512_bf16_training_kernels();
    set.name = "amx_bf16";
    set.dense_product = amx_bf16_dense_product;
    return set;
  }();
  return kernels;
}

}  // namespace sparsespeech
