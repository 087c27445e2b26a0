#include <algorithm>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/training_kernels.h"

namespace sparsespeech {

void to_lanes(const float* x, std::size_t batch, std::size_t features, Steps shape, float* out) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    training_kernels()->to_lanes(x + t * batch * features, batch, features, shape.lanes,
                                 out + t * features * shape.lanes);
  }
}

void to_lanes(const std::uint16_t* bf16, std::size_t batch, std::size_t features, Steps shape,
              float* out) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    training_kernels()->bf16_to_lanes(bf16 + t * batch * features, batch, features, shape.lanes,
                                      out + t * features * shape.lanes);
  }
}

void from_lanes(const float* x, std::size_t batch, std::size_t features, Steps shape,
                std::size_t stride, float* out) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    training_kernels()->from_lanes(x + t * features * shape.lanes, batch, features, shape.lanes,
                                   stride, out + t * batch * stride);
  }
}

void from_lanes(const float* x, std::size_t batch, std::size_t features, Steps shape,
                std::uint16_t* bf16) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    training_kernels()->bf16_from_lanes(x + t * features * shape.lanes, batch, features,
                                        shape.lanes, bf16 + t * batch * features);
  }
}

void sparse_product(const SparseRows& matrix, const float* bias, const float* x,
                    std::size_t columns, Steps shape, bool bfloat16, bool add, float* out) {
  AlignedBuffer<float> packed(columns * kBlockValues);
  const std::size_t steps_of_block = std::max<std::size_t>(1, kBlockValues / shape.lanes);
  for (std::size_t first = 0; first < shape.steps; first += steps_of_block) {
    const Steps block{std::min(steps_of_block, shape.steps - first), shape.lanes};
    training_kernels()->sparse_product(matrix, bias, x + first * columns * shape.lanes, columns,
                                       block, bfloat16, add, packed.data(),
                                       out + first * matrix.rows() * shape.lanes);
  }
}

void sparse_gradient(const SparseRows& pattern, const float* g, const float* x, std::size_t columns,
                     Steps shape, bool bfloat16, float* out) {
  const std::size_t rows = pattern.rows();
  AlignedBuffer<float> left(rows * kChunkFloats), right(columns * kChunkFloats);
  const std::size_t lanes_of_chunk = kChunkFloats * (bfloat16 ? 2 : 1);
  const std::size_t steps_of_chunk = lanes_of_chunk / shape.lanes;
  std::fill_n(out, pattern.columns.size(), 0.0F);
  for (std::size_t first = 0; first < shape.steps; first += steps_of_chunk) {
    const Steps chunk{std::min(steps_of_chunk, shape.steps - first), shape.lanes};
    training_kernels()->pack_chunk(g + first * rows * shape.lanes, rows, chunk, bfloat16,
                                   left.data());
    training_kernels()->pack_chunk(x + first * columns * shape.lanes, columns, chunk, bfloat16,
                                   right.data());
    training_kernels()->sparse_gradient(pattern, left.data(), right.data(), bfloat16, out);
  }
}

}  // namespace sparsespeech
