// A sparse int8 matrix packed for many input vectors at once: rows of quads of nonzeros.
//
// Four nonzeros of one row meet four input rows of 64 columns; the kernels interleave the four
// rows' bytes and multiply all 64 columns. Also the portable form for one input vector.
//
// Axes: R rows in packed order, C columns, Q quads.

#ifndef SPARSESPEECH_QUAD_MATRIX_H_
#define SPARSESPEECH_QUAD_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/integer_model.h"

namespace sparsespeech {

inline constexpr std::size_t kTileColumns = 64;  // input vectors of one tile
inline constexpr std::size_t kQuad = 4;

struct QuadMatrix {
  std::size_t rows = 0, columns = 0, nonzeros = 0;
  AlignedBuffer<std::uint16_t> column;     // [Q][4]
  AlignedBuffer<std::int8_t> value;        // [Q][4]; padding: any column of the row, weight 0
  AlignedBuffer<std::uint32_t> row_start;  // [R + 1], in quads
  AlignedBuffer<std::int32_t> bias;        // [R]

  std::size_t bytes() const {
    return column.bytes() + value.bytes() + row_start.bytes() + bias.bytes();
  }
};

// Packs the rows `row_of_slot` in that order (kEmptySlot: a row without nonzeros, bias 0).
// Throws std::bad_alloc, and std::length_error for more than 2^16 columns, or 2^32 quads and more.
QuadMatrix pack_quads(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_QUAD_MATRIX_H_
