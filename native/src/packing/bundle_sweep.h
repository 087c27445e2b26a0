// The sweep of one bundle, counted and not packed: what pack_sweep does with it, in a microsecond.
//
// Axes: B rows of a bundle, K blocks of 16 columns.

#ifndef SPARSESPEECH_PACKING_BUNDLE_SWEEP_H_
#define SPARSESPEECH_PACKING_BUNDLE_SWEEP_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/integer_model.h"
#include "sparsespeech/sweep_matrix.h"

namespace sparsespeech {

// Where windows may start.
inline std::size_t column_blocks(const IntegerMatrix& matrix) {
  return (matrix.columns + kWindowStart - 1) / kWindowStart;
}

// For each block, how many nonzeros of each row stand before it: Count[K + 1 + window][B]. Count
// holds the longest row and four more. The blocks behind the last one belong to its window.
template <typename Count, std::size_t kRows>
class BundleCounts {
 public:
  static std::size_t size(std::size_t blocks, std::size_t window_blocks) {
    return (blocks + 1 + window_blocks) * kRows;
  }

  BundleCounts(Count* counts, std::size_t blocks, std::size_t window_blocks)
      : counts_(counts), blocks_(blocks), window_blocks_(window_blocks) {}

  // Row `row` of the matrix (or kEmptySlot) becomes row `lane` of the bundle.
  void set_row(const IntegerMatrix& matrix, std::uint32_t row, std::size_t lane) {
    std::size_t next = row == kEmptySlot ? 0 : static_cast<std::size_t>(matrix.row_start[row]);
    const std::size_t first = next;
    const std::size_t end = row == kEmptySlot ? 0 : first + matrix.row_nonzeros(row);
    for (std::size_t block = 0; block <= blocks_ + window_blocks_; ++block) {
      const auto start = static_cast<std::int64_t>(block * kWindowStart);
      while (next < end && matrix.column[next] < start) ++next;
      at(block, lane) = static_cast<Count>(next - first);
    }
  }

  Count& at(std::size_t block, std::size_t lane) { return counts_[block * kRows + lane]; }
  Count at(std::size_t block, std::size_t lane) const { return counts_[block * kRows + lane]; }
  const Count* row_counts(std::size_t block) const { return counts_ + block * kRows; }
  std::size_t blocks() const { return blocks_; }
  std::size_t window_blocks() const { return window_blocks_; }

 private:
  Count* counts_;
  std::size_t blocks_, window_blocks_;
};

// How a bundle is swept.
struct BundleSweep {
  std::vector<std::uint32_t> windows;  // first block of each step's window
  std::vector<std::uint8_t> late;      // the rows that the last step still serves
  std::size_t cost = 0;                // slots of the bundle, of the last step only those in use

  // Steps first: one step less is worth any number of nonzeros in the last one.
  template <typename Count, std::size_t kRows>
  void run(const BundleCounts<Count, kRows>& counts) {
    alignas(kCacheLineBytes) Count served[kRows] = {}, before[kRows] = {};
    windows.clear();
    for (std::size_t block = 0; block < counts.blocks();) {
      const Count* wanted = counts.row_counts(block + 1);
      Count unserved = 0;
      for (std::size_t lane = 0; lane < kRows; ++lane) {
        unserved = static_cast<Count>(unserved | static_cast<Count>(wanted[lane] > served[lane]));
      }
      if (unserved == 0) {
        ++block;
        continue;
      }
      const Count* limit = counts.row_counts(block + counts.window_blocks());
      for (std::size_t lane = 0; lane < kRows; ++lane) {
        before[lane] = served[lane];
        served[lane] = std::min(static_cast<Count>(served[lane] + kEntries), limit[lane]);
      }
      windows.push_back(static_cast<std::uint32_t>(block));
    }
    late.clear();
    cost = windows.size() * kRows * kEntries;
    for (std::size_t lane = 0; lane < kRows; ++lane) {
      if (served[lane] == before[lane]) continue;
      late.push_back(static_cast<std::uint8_t>(lane));
      cost += static_cast<std::size_t>(served[lane] - before[lane]);
    }
  }

  // Whether all steps but the last would serve the whole of row `lane` of another bundle.
  template <typename Count, std::size_t kRows>
  bool serves_early(const BundleCounts<Count, kRows>& counts, std::size_t lane) const {
    Count served = 0;
    for (std::size_t step = 0; step + 1 < windows.size(); ++step) {
      if (counts.at(windows[step], lane) > served) return false;
      served = std::min(static_cast<Count>(served + kEntries),
                        counts.at(windows[step] + counts.window_blocks(), lane));
    }
    return served == counts.at(counts.blocks(), lane);
  }
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_PACKING_BUNDLE_SWEEP_H_
