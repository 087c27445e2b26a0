#include <algorithm>
#include <numeric>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/training_kernels.h"

namespace sparsespeech {
namespace {

// The product with the recurrent matrix, and the room that it needs.
class RecurrentProduct {
 public:
  RecurrentProduct(const RecurrentMatrix& matrix, std::size_t rows, std::size_t columns,
                   std::size_t lanes)
      : matrix_(matrix),
        rows_(rows),
        columns_(columns),
        lanes_(lanes),
        packed_(matrix.sparse == nullptr ? 0 : columns * kBlockValues),
        pairs_(matrix.sparse == nullptr ? columns / 2 * lanes : 0) {}

  // out += W x for one step.
  void add(const float* x, float* out) {
    if (matrix_.sparse != nullptr) {
      training_kernels()->sparse_product(*matrix_.sparse, nullptr, x, columns_, {1, lanes_},
                                         matrix_.bfloat16, true, packed_.data(), out);
    } else {
      training_kernels()->dense_product(matrix_.dense, rows_, columns_, x, lanes_, pairs_.data(),
                                        out);
    }
  }

 private:
  RecurrentMatrix matrix_;
  std::size_t rows_, columns_, lanes_;
  AlignedBuffer<float> packed_;
  AlignedBuffer<std::uint32_t> pairs_;
};

// Number `count` of the steps in the order of the direction.
std::size_t step_number(const LstmShape& shape, std::size_t count) {
  return shape.reverse ? shape.steps - 1 - count : count;
}

}  // namespace

void lstm_forward(const LstmShape& shape, const RecurrentMatrix& recurrent, const float* bias,
                  const LstmRounding& rounding, float* gates, float* cell, float* hidden) {
  const std::size_t part = shape.cells * shape.lanes;
  const bool apart = rounding.gates > 0;
  RecurrentProduct product(recurrent, 4 * shape.cells, shape.cells, shape.lanes);
  AlignedBuffer<float> sums(apart ? 4 * part : 0);
  const float *last_cell = nullptr, *last_hidden = nullptr;
  for (std::size_t count = 0; count < shape.steps; ++count) {
    const std::size_t step = step_number(shape, count);
    float* now = gates + step * 4 * part;
    if (last_hidden != nullptr) {
      std::fill_n(sums.data(), sums.size(), 0.0F);
      product.add(last_hidden, apart ? sums.data() : now);
    }
    training_kernels()->lstm_step_forward(shape, rounding, step, bias,
                                          apart ? sums.data() : nullptr, last_cell, now,
                                          cell + step * part, hidden + step * part);
    last_cell = cell + step * part;
    last_hidden = hidden + step * part;
  }
}

void lstm_backward(const LstmShape& shape, const RecurrentMatrix& transposed,
                   const LstmRounding& rounding, const float* grad_hidden, const float* cell,
                   float* gates, float* grad_bias) {
  const std::size_t part = shape.cells * shape.lanes;
  RecurrentProduct product(transposed, shape.cells, 4 * shape.cells, shape.lanes);
  AlignedBuffer<float> carried(part), grad(part), sums(4 * shape.cells * kLanesOfRegister);
  const float* after = nullptr;  // gate gradients of the step after
  for (std::size_t count = shape.steps; count-- > 0;) {
    const std::size_t step = step_number(shape, count);
    std::copy_n(grad_hidden + step * part, part, grad.data());
    if (after != nullptr) product.add(after, grad.data());
    const float* before = count == 0 ? nullptr : cell + step_number(shape, count - 1) * part;
    float* now = gates + step * 4 * part;
    training_kernels()->lstm_step_backward(shape, rounding, step, before, cell + step * part,
                                           grad.data(), carried.data(), now);
    training_kernels()->add_lanes(now, 4 * shape.cells, shape.lanes, sums.data());
    after = now;
  }
  for (std::size_t row = 0; row < 4 * shape.cells; ++row) {
    const float* lanes = sums.data() + row * kLanesOfRegister;
    grad_bias[row] = std::accumulate(lanes, lanes + kLanesOfRegister, 0.0F);
  }
}

}  // namespace sparsespeech
