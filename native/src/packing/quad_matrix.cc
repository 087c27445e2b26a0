#include "sparsespeech/quad_matrix.h"

#include <limits>
#include <stdexcept>

#include "sparsespeech/sweep_matrix.h"

namespace sparsespeech {

QuadMatrix pack_quads(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot) {
  if (matrix.columns > std::size_t{std::numeric_limits<std::uint16_t>::max()} + 1) {
    throw std::length_error("a quad matrix has too many columns");
  }
  QuadMatrix packed;
  packed.rows = row_of_slot.size();
  packed.columns = matrix.columns;
  packed.row_start = AlignedBuffer<std::uint32_t>(packed.rows + 1);
  packed.bias = AlignedBuffer<std::int32_t>(packed.rows);
  std::size_t quads = 0;
  for (std::size_t slot = 0; slot < packed.rows; ++slot) {
    const std::uint32_t row = row_of_slot[slot];
    if (row != kEmptySlot) {
      quads += (matrix.row_nonzeros(row) + kQuad - 1) / kQuad;
      packed.nonzeros += matrix.row_nonzeros(row);
      packed.bias[slot] = static_cast<std::int32_t>(matrix.bias[row]);
    }
    if (quads > std::numeric_limits<std::uint32_t>::max()) {
      throw std::length_error("a quad matrix has too many nonzeros");
    }
    packed.row_start[slot + 1] = static_cast<std::uint32_t>(quads);
  }
  packed.column = AlignedBuffer<std::uint16_t>(quads * kQuad);
  packed.value = AlignedBuffer<std::int8_t>(quads * kQuad);
  for (std::size_t slot = 0; slot < packed.rows; ++slot) {
    if (row_of_slot[slot] == kEmptySlot) continue;
    const auto first = static_cast<std::size_t>(matrix.row_start[row_of_slot[slot]]);
    const std::size_t count = matrix.row_nonzeros(row_of_slot[slot]);
    const std::size_t place = packed.row_start[slot] * kQuad;
    const std::size_t padded = round_up(count, kQuad);
    for (std::size_t i = 0; i < padded; ++i) {
      // Padding points at the row's last column, which is in the cache.
      const std::size_t source = first + (i < count ? i : count - 1);
      packed.column[place + i] = static_cast<std::uint16_t>(matrix.column[source]);
      if (i < count) packed.value[place + i] = matrix.value[source];
    }
  }
  return packed;
}

}  // namespace sparsespeech
