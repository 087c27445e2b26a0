#include "sparsespeech/kernels.h"

#include "functions.h"

namespace sparsespeech {

const Kernels& amx_kernels() {
  static const Kernels kernels = [] {
    Kernels set = avx512_kernels();
    set.name = "amx";
    set.dense_tile_product = amx_dense_tile_product;
    return set;
  }();
  return kernels;
}

}  // namespace sparsespeech
