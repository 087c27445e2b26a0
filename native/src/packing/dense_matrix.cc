#include "sparsespeech/dense_matrix.h"

#include "sparsespeech/sweep_matrix.h"

namespace sparsespeech {

DenseMatrix pack_dense(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot) {
  DenseMatrix dense;
  dense.rows = row_of_slot.size();
  dense.columns = matrix.columns;
  dense.stride = round_up(matrix.columns, DenseMatrix::kColumnMultiple);
  const std::size_t padded_rows = round_up(dense.rows, kLanes);
  dense.value = AlignedBuffer<std::int8_t>(padded_rows * dense.stride);
  dense.bias = AlignedBuffer<std::int32_t>(padded_rows);

  for (std::size_t slot = 0; slot < dense.rows; ++slot) {
    const std::size_t row = row_of_slot[slot];
    if (row == kEmptySlot) continue;
    std::int8_t* packed = dense.value.data() + slot * dense.stride;
    const auto first = static_cast<std::size_t>(matrix.row_start[row]);
    const auto last = static_cast<std::size_t>(matrix.row_start[row + 1]);
    for (std::size_t i = first; i < last; ++i) {
      packed[static_cast<std::size_t>(matrix.column[i])] = matrix.value[i];
    }
    dense.bias[slot] = static_cast<std::int32_t>(matrix.bias[row]);
    dense.nonzeros += last - first;
  }
  return dense;
}

}  // namespace sparsespeech
