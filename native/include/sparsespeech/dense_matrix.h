// An int8 matrix with its zeros, for layers where storing them is faster than skipping them.
//
// Axes: R rows in packed order, C columns.

#ifndef SPARSESPEECH_DENSE_MATRIX_H_
#define SPARSESPEECH_DENSE_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/integer_model.h"

namespace sparsespeech {

struct DenseMatrix {
  static constexpr std::size_t kColumnMultiple = 64;

  std::size_t rows = 0, columns = 0, nonzeros = 0;
  std::size_t stride = 0;            // bytes of one row: C rounded up to kColumnMultiple
  AlignedBuffer<std::int8_t> value;  // [R rounded up to 16][stride], padding 0
  AlignedBuffer<std::int32_t> bias;  // [R rounded up to 16]

  std::size_t bytes() const { return value.bytes() + bias.bytes(); }
};

// Packs the rows `row_of_slot` in that order (kEmptySlot: zeros). Throws std::bad_alloc.
DenseMatrix pack_dense(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_DENSE_MATRIX_H_
