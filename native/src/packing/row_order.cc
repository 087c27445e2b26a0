#include "sparsespeech/row_order.h"

#include <cstdlib>
#include <limits>
#include <random>
#include <tuple>
#include <utility>

#include "bundle_sweep.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kLargestTables = std::size_t{32} << 20;  // bytes

std::size_t length(const IntegerMatrix& matrix, std::uint32_t row) {
  return row == kEmptySlot ? 0 : matrix.row_nonzeros(row);
}

std::size_t steps_alone(const IntegerMatrix& matrix, std::uint32_t row) {
  return (length(matrix, row) + kEntries - 1) / kEntries;
}

// Twice the distance of a row's nonzeros from the middle column, summed: negative for a row whose
// nonzeros stand more on the left. Of all shapes, this one differs most between rows.
std::int64_t lean(const IntegerMatrix& matrix, std::uint32_t row) {
  std::int64_t sum = 0;
  const auto last = static_cast<std::int64_t>(matrix.columns) - 1;
  for (std::int64_t i = matrix.row_start[row]; i < matrix.row_start[row + 1]; ++i) {
    sum += 2 * std::int64_t{matrix.column[static_cast<std::size_t>(i)]} - last;
  }
  return sum;
}

// Calls use(Count{}, rows of a bundle as a constant) for the narrowest counts that hold every row.
template <typename Use>
auto with_count_type(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                     SweepShape shape, Use use) {
  std::size_t longest = 0;
  for (const std::uint32_t row : row_of_slot) longest = std::max(longest, length(matrix, row));
  const bool narrow = longest + kEntries <= std::numeric_limits<std::uint8_t>::max();
  const auto with_rows = [&](auto count) {
    switch (shape.groups) {
      case 1:
        return use(count, std::integral_constant<std::size_t, kLanes>());
      case 2:
        return use(count, std::integral_constant<std::size_t, 2 * kLanes>());
      default:
        return use(count, std::integral_constant<std::size_t, 4 * kLanes>());
    }
  };
  return narrow ? with_rows(std::uint8_t{}) : with_rows(std::uint32_t{});
}

// The bundles of a matrix, their sweeps, and swaps of rows between them.
template <typename Count, std::size_t kRows>
class BundleSearch {
 public:
  using Counts = BundleCounts<Count, kRows>;

  static std::size_t table_bytes(std::size_t blocks, std::size_t window_blocks, std::size_t slots) {
    return Counts::size(blocks, window_blocks) * sizeof(Count) * (slots / kRows);
  }

  BundleSearch(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
               std::size_t window_blocks)
      : row_of_slot_(row_of_slot.begin(), row_of_slot.end()),
        table_(Counts::size(column_blocks(matrix), window_blocks) * (row_of_slot.size() / kRows)),
        sweeps_(row_of_slot.size() / kRows) {
    for (std::size_t bundle = 0; bundle < sweeps_.size(); ++bundle) {
      bundles_.emplace_back(
          table_.data() + bundle * Counts::size(column_blocks(matrix), window_blocks),
          column_blocks(matrix), window_blocks);
      for (std::size_t lane = 0; lane < kRows; ++lane) {
        bundles_[bundle].set_row(matrix, row_of_slot_[bundle * kRows + lane], lane);
      }
      sweeps_[bundle].run(bundles_[bundle]);
      steps_ += sweeps_[bundle].windows.size();
    }
  }

  // Until all swaps are considered or there are only `fewest` steps.
  std::vector<std::uint32_t> run(const RowSearch& search, std::size_t fewest) {
    std::mt19937_64 random(search.seed);
    for (std::size_t swap = 0; swap < search.swaps && steps_ > fewest; ++swap) {
      const std::size_t bundle = random() % sweeps_.size();
      const std::size_t other = neighbour(bundle, search.reach, random());
      if (other == bundle || sweeps_[bundle].late.empty()) continue;
      // A row that keeps the last step busy, for one that the steps before it would serve.
      const std::size_t lane = sweeps_[bundle].late[random() % sweeps_[bundle].late.size()];
      const std::size_t other_lane = random() % kRows;
      if (!sweeps_[bundle].serves_early(bundles_[other], other_lane)) continue;
      try_swap(bundle, lane, other, other_lane);
    }
    return std::move(row_of_slot_);
  }

 private:
  std::size_t neighbour(std::size_t bundle, std::size_t reach, std::uint64_t random) const {
    const std::size_t first = bundle > reach ? bundle - reach : 0;
    const std::size_t last = std::min(bundle + reach, sweeps_.size() - 1);
    return first + random % (last - first + 1);
  }

  void try_swap(std::size_t a, std::size_t lane_of_a, std::size_t b, std::size_t lane_of_b) {
    exchange(bundles_[a], lane_of_a, bundles_[b], lane_of_b);
    new_a_.run(bundles_[a]);
    new_b_.run(bundles_[b]);
    if (new_a_.cost + new_b_.cost > sweeps_[a].cost + sweeps_[b].cost) {
      exchange(bundles_[a], lane_of_a, bundles_[b], lane_of_b);
      return;
    }
    std::swap(sweeps_[a], new_a_);
    std::swap(sweeps_[b], new_b_);
    steps_ += sweeps_[a].windows.size() + sweeps_[b].windows.size();
    steps_ -= new_a_.windows.size() + new_b_.windows.size();
    std::swap(row_of_slot_[a * kRows + lane_of_a], row_of_slot_[b * kRows + lane_of_b]);
  }

  static void exchange(Counts& a, std::size_t lane_of_a, Counts& b, std::size_t lane_of_b) {
    for (std::size_t block = 0; block <= a.blocks() + a.window_blocks(); ++block) {
      std::swap(a.at(block, lane_of_a), b.at(block, lane_of_b));
    }
  }

  std::vector<std::uint32_t> row_of_slot_;
  AlignedBuffer<Count> table_;
  std::vector<Counts> bundles_;
  std::vector<BundleSweep> sweeps_;
  BundleSweep new_a_, new_b_;
  std::size_t steps_ = 0;
};

}  // namespace

std::vector<std::uint32_t> rows_by_shape(const IntegerMatrix& matrix,
                                         std::span<const std::uint32_t> rows,
                                         std::size_t multiple) {
  // Longest first. The direction of the second key alternates, so that neighbours are alike at the
  // border between two lengths too.
  using Key = std::tuple<std::size_t, std::int64_t, std::uint32_t>;
  std::vector<Key> keys;
  for (const std::uint32_t row : rows) {
    const std::size_t steps = steps_alone(matrix, row);
    const std::int64_t side = lean(matrix, row);
    keys.emplace_back(std::numeric_limits<std::size_t>::max() - steps,
                      steps % 2 == 0 ? side : -side, row);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<std::uint32_t> row_of_slot;
  for (const Key& key : keys) row_of_slot.push_back(std::get<std::uint32_t>(key));
  row_of_slot.resize(round_up(rows.size(), multiple), kEmptySlot);
  return row_of_slot;
}

std::size_t count_steps(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                        SweepShape shape) {
  const std::size_t blocks = column_blocks(matrix), window_blocks = shape.window / kWindowStart;
  return with_count_type(matrix, row_of_slot, shape, [&](auto count, auto rows) {
    using Counts = BundleCounts<decltype(count), rows>;
    AlignedBuffer<decltype(count)> table(Counts::size(blocks, window_blocks));
    Counts counts(table.data(), blocks, window_blocks);
    BundleSweep sweep;
    std::size_t steps = 0;
    for (std::size_t first = 0; first < row_of_slot.size(); first += rows) {
      for (std::size_t lane = 0; lane < rows; ++lane) {
        counts.set_row(matrix, row_of_slot[first + lane], lane);
      }
      sweep.run(counts);
      steps += sweep.windows.size();
    }
    return steps;
  });
}

std::size_t fewest_steps(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                         SweepShape shape) {
  std::vector<std::size_t> steps;
  for (const std::uint32_t row : row_of_slot) steps.push_back(steps_alone(matrix, row));
  std::sort(steps.rbegin(), steps.rend());
  std::size_t sum = 0;
  for (std::size_t first = 0; first < steps.size(); first += kLanes * shape.groups) {
    sum += steps[first];
  }
  return sum;
}

std::vector<std::uint32_t> search_row_order(const IntegerMatrix& matrix,
                                            std::span<const std::uint32_t> row_of_slot,
                                            SweepShape shape, const RowSearch& search) {
  const std::size_t window_blocks = shape.window / kWindowStart;
  return with_count_type(matrix, row_of_slot, shape, [&](auto count, auto rows) {
    using Search = BundleSearch<decltype(count), rows>;
    const std::size_t bytes =
        Search::table_bytes(column_blocks(matrix), window_blocks, row_of_slot.size());
    if (bytes > kLargestTables || row_of_slot.empty() || search.swaps == 0) {
      return std::vector<std::uint32_t>(row_of_slot.begin(), row_of_slot.end());
    }
    return Search(matrix, row_of_slot, window_blocks)
        .run(search, fewest_steps(matrix, row_of_slot, shape));
  });
}

}  // namespace sparsespeech
