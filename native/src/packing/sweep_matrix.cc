#include "sparsespeech/sweep_matrix.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

namespace sparsespeech {
namespace {

constexpr std::size_t kGroupBytes = 2 * kLanes * kEntries;  // indices and weights of one step
constexpr std::size_t kCopies = kCacheLineBytes / kWindowStart;
constexpr std::size_t kWidestWindow = 256;

// The part of one row that no step has served yet, as positions in the matrix's arrays.
struct Remainder {
  std::size_t next = 0, end = 0;
};

// Takes up to four nonzeros of `row` below `window_end` into one lane of a group.
void fill_lane(const IntegerMatrix& matrix, Remainder& row, std::size_t window_start,
               std::size_t window_end, std::size_t lane, std::uint8_t* group) {
  for (std::size_t entry = 0; entry < kEntries && row.next < row.end; ++entry, ++row.next) {
    const auto column = static_cast<std::size_t>(matrix.column[row.next]);
    if (column >= window_end) return;
    const std::size_t place = lane * kEntries + entry;
    group[place] = static_cast<std::uint8_t>(column - window_start);
    group[kLanes * kEntries + place] = static_cast<std::uint8_t>(matrix.value[row.next]);
  }
}

// Packs the rows of one bundle; returns its number of steps.
std::size_t pack_bundle(const IntegerMatrix& matrix, std::vector<Remainder>& rows,
                        const SweepShape& shape, std::vector<std::uint8_t>& entries,
                        std::vector<std::uint16_t>& window_line) {
  const std::size_t lines = window_copy_lines(matrix.columns);
  for (std::size_t steps = 0;; ++steps) {
    std::size_t first = std::numeric_limits<std::size_t>::max();
    for (const Remainder& row : rows) {
      if (row.next < row.end) {
        first = std::min(first, static_cast<std::size_t>(matrix.column[row.next]));
      }
    }
    if (first == std::numeric_limits<std::size_t>::max()) return steps;
    const std::size_t start = first / kWindowStart * kWindowStart;
    const std::size_t step = entries.size();
    entries.resize(step + shape.groups * kGroupBytes);
    for (std::size_t row = 0; row < rows.size(); ++row) {
      fill_lane(matrix, rows[row], start, start + shape.window, row % kLanes,
                entries.data() + step + row / kLanes * kGroupBytes);
    }
    const std::size_t copy = start / kWindowStart % kCopies;
    window_line.push_back(static_cast<std::uint16_t>(copy * lines + start / kCacheLineBytes));
  }
}

template <typename T>
AlignedBuffer<T> aligned_copy(const std::vector<T>& values) {
  AlignedBuffer<T> copy(values.size());
  std::copy(values.begin(), values.end(), copy.data());
  return copy;
}

}  // namespace

std::size_t window_copy_lines(std::size_t columns) {
  return (round_up(columns, kCacheLineBytes) + kWidestWindow) / kCacheLineBytes;
}

std::size_t window_copies_bytes(std::size_t columns) {
  return kCopies * window_copy_lines(columns) * kCacheLineBytes;
}

void load_window_copies(std::span<const std::uint8_t> input, std::uint8_t* copies) {
  const std::size_t stride = window_copy_lines(input.size()) * kCacheLineBytes;
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    const std::size_t skipped = std::min(copy * kWindowStart, input.size());
    std::copy(input.begin() + static_cast<std::ptrdiff_t>(skipped), input.end(),
              copies + copy * stride);
  }
}

SweepMatrix pack_sweep(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                       SweepShape shape) {
  if (kCopies * window_copy_lines(matrix.columns) > std::numeric_limits<std::uint16_t>::max()) {
    throw std::length_error("a sweep matrix has too many columns");
  }
  SweepMatrix packed;
  packed.shape = shape;
  packed.slots = row_of_slot.size();
  packed.columns = matrix.columns;
  const std::size_t bundle = packed.bundle_slots();
  packed.steps = AlignedBuffer<std::uint16_t>(packed.slots / bundle);
  packed.bias = AlignedBuffer<std::int32_t>(packed.slots);
  std::vector<std::uint8_t> entries;
  std::vector<std::uint16_t> window_line;
  std::vector<Remainder> rows(bundle);
  for (std::size_t first = 0; first < packed.slots; first += bundle) {
    for (std::size_t slot = 0; slot < bundle; ++slot) {
      const std::uint32_t row = row_of_slot[first + slot];
      rows[slot] = {};
      if (row == kEmptySlot) continue;
      rows[slot] = {static_cast<std::size_t>(matrix.row_start[row]),
                    static_cast<std::size_t>(matrix.row_start[row + 1])};
      packed.nonzeros += rows[slot].end - rows[slot].next;
      packed.bias[first + slot] = static_cast<std::int32_t>(matrix.bias[row]);
    }
    packed.steps[first / bundle] =
        static_cast<std::uint16_t>(pack_bundle(matrix, rows, shape, entries, window_line));
  }
  packed.entries = aligned_copy(entries);
  packed.window_line = aligned_copy(window_line);
  return packed;
}

}  // namespace sparsespeech
