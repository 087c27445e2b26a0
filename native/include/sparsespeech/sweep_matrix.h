// A sparse int8 matrix packed for one input vector: the permute-and-multiply form.
//
// 16 rows are the 16 int32 lanes of a 512-bit register. A step multiplies up to four nonzeros of
// each row, all of which lie in one window of the input; the windows sweep over the columns. The
// window stands in registers, and the gather is a byte permute by the stored indices.
//
// Axes: R rows, C columns, S slots (rows in packed order, with empty rows as padding).

#ifndef SPARSESPEECH_SWEEP_MATRIX_H_
#define SPARSESPEECH_SWEEP_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/integer_model.h"

namespace sparsespeech {

inline constexpr std::size_t kLanes = 16;         // rows of a group
inline constexpr std::size_t kEntries = 4;        // nonzeros of a row in one step
inline constexpr std::size_t kWindowStart = 16;   // windows start at multiples of this column
inline constexpr std::uint32_t kEmptySlot = ~0U;  // a slot without a row

// How a matrix is swept: columns of a window, and groups of 16 rows that share one.
struct SweepShape {
  std::size_t window = 256;  // 192 or 256; AVX2 also 64, 96 and 128
  std::size_t groups = 2;    // 1, 2 or 4

  bool operator==(const SweepShape&) const = default;
};

// For each bundle of `shape.groups` groups, in slot order: its steps, one after the other; a step
// is, for each group, 64 indices (lane * 4 + entry) into the window and 64 weights. An unused
// entry has weight 0.
struct SweepMatrix {
  SweepShape shape;
  std::size_t slots = 0, columns = 0, nonzeros = 0;
  AlignedBuffer<std::uint8_t> entries;  // [steps][groups][2][64]
  AlignedBuffer<std::uint16_t>
      window_line;                     // [steps], cache line of the window, see load_window_copies
  AlignedBuffer<std::uint16_t> steps;  // [slots / (16 * groups)]
  AlignedBuffer<std::int32_t> bias;    // [slots]

  std::size_t bytes() const {
    return entries.bytes() + window_line.bytes() + steps.bytes() + bias.bytes();
  }
  std::size_t bundle_slots() const { return kLanes * shape.groups; }
};

// Packs the rows `row_of_slot` (kEmptySlot for padding; a multiple of 16 * shape.groups of them).
// Throws std::bad_alloc, and std::length_error where the matrix has too many columns (2^20 and
// more) for its window lines.
SweepMatrix pack_sweep(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                       SweepShape shape);

// The input of a sweep: four copies of the vector, the k-th one 16 * k columns ahead, so that each
// window starts on a cache line. One copy takes window_copy_lines(C) lines.
std::size_t window_copy_lines(std::size_t columns);
std::size_t window_copies_bytes(std::size_t columns);
void load_window_copies(std::span<const std::uint8_t> input, std::uint8_t* copies);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_SWEEP_MATRIX_H_
