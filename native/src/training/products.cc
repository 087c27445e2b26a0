#include <algorithm>
#include <array>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/training_kernels.h"

namespace sparsespeech {

void to_lanes(const float* x, std::size_t batch, std::size_t features, Steps shape,
              std::size_t stride, float* out) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    training_kernels()->to_lanes(x + t * batch * stride, batch, features, shape.lanes, stride,
                                 out + t * features * shape.lanes);
  }
}

void to_lanes(const std::uint16_t* bf16, std::size_t batch, std::size_t features, Steps shape,
              std::size_t stride, float* out) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    training_kernels()->bf16_to_lanes(bf16 + t * batch * stride, batch, features, shape.lanes,
                                      stride, out + t * features * shape.lanes);
  }
}

void from_lanes(const float* x, std::size_t batch, std::size_t features, Steps shape,
                std::size_t stride, float* out) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    training_kernels()->from_lanes(x + t * features * shape.lanes, batch, features, shape.lanes,
                                   stride, out + t * batch * stride);
  }
}

namespace {

// The rows of step `t`, one for each lane; `row` moves on to those of the step after.
template <typename Row>
std::array<Row, kMostLanes> rows_of_step(std::size_t t, std::size_t features,
                                         const std::int32_t* lengths, std::size_t lanes, Row& row) {
  std::array<Row, kMostLanes> rows{};
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    if (static_cast<std::int64_t>(t) >= lengths[lane]) continue;
    rows[lane] = row;
    row += features;
  }
  return rows;
}

}  // namespace

void rows_to_lanes(const std::uint16_t* bf16, std::size_t features, const std::int32_t* lengths,
                   Steps shape, float* out) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    const auto rows = rows_of_step(t, features, lengths, shape.lanes, bf16);
    training_kernels()->bf16_rows_to_lanes(rows.data(), features, shape.lanes,
                                           out + t * features * shape.lanes);
  }
}

void lanes_to_rows(const float* x, std::size_t features, const std::int32_t* lengths, Steps shape,
                   std::uint16_t* bf16) {
  for (std::size_t t = 0; t < shape.steps; ++t) {
    const auto rows = rows_of_step(t, features, lengths, shape.lanes, bf16);
    training_kernels()->bf16_lanes_to_rows(x + t * features * shape.lanes, features, shape.lanes,
                                           rows.data());
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
