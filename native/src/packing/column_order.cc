#include "sparsespeech/column_order.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>
#include <utility>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/sweep_matrix.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kMostBlocks = 32;
constexpr std::size_t kLargestTables = std::size_t{64} << 20;  // bytes
constexpr std::size_t kMostColumns = 8192;                     // a round compares all pairs
constexpr std::size_t kNone = ~std::size_t{0};

// The matrix by columns: the row of each nonzero.
struct ColumnLists {
  std::vector<std::size_t> start;  // [C + 1]
  std::vector<std::uint32_t> row;  // [nonzeros], increasing inside a column

  explicit ColumnLists(const IntegerMatrix& matrix)
      : start(matrix.columns + 1, 0), row(matrix.nonzeros()) {
    for (const std::int32_t column : matrix.column) ++start[static_cast<std::size_t>(column) + 1];
    std::partial_sum(start.begin(), start.end(), start.begin());
    std::vector<std::size_t> next(start.begin(), start.end() - 1);
    for (std::size_t r = 0; r < matrix.rows; ++r) {
      for (std::int64_t i = matrix.row_start[r]; i < matrix.row_start[r + 1]; ++i) {
        const auto column = static_cast<std::size_t>(matrix.column[static_cast<std::size_t>(i)]);
        row[next[column]++] = static_cast<std::uint32_t>(r);
      }
    }
  }

  std::span<const std::uint32_t> rows(std::size_t column) const {
    return {row.data() + start[column], start[column + 1] - start[column]};
  }
};

// Columns in K blocks of equal width. excess(r, k) is what row r has before block k + 1 beyond an
// even spread of its nonzeros; the search lowers the sum of its squares. A column that moves from
// block a to block b > a lowers its rows' excess by 1 in a .. b - 1, which changes the sum by
//   -2 * (E[r][b] - E[r][a]) + |b - a|   with   E[r][b] = sum of excess(r, k) over k < b
// a row; for b < a too.
class ColumnSearch {
 public:
  ColumnSearch(const IntegerMatrix& matrix, std::size_t block_columns)
      : lists_(matrix),
        columns_(matrix.columns),
        stride_((matrix.columns + block_columns - 1) / block_columns + 1),
        block_of_(matrix.columns),
        sums_(matrix.rows * stride_),
        gain_(matrix.columns * stride_) {
    for (std::size_t column = 0; column < columns_; ++column) {
      block_of_[column] = column / block_columns;
    }
    for (std::size_t row = 0; row < matrix.rows; ++row) sum_excess(matrix, row);
    for (std::size_t column = 0; column < columns_; ++column) sum_gain(column);
  }

  static std::size_t table_bytes(const IntegerMatrix& matrix) {
    return (matrix.rows + matrix.columns) * (kMostBlocks + 1) * sizeof(float) +
           matrix.nonzeros() * sizeof(std::uint32_t);
  }

  // Each column, in an order of its own, changes places with the one that lowers the sum most.
  // Returns whether any did.
  bool round(std::mt19937_64& random) {
    std::vector<std::size_t> order(columns_);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = columns_; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
    bool changed = false;
    for (const std::size_t column : order) {
      sum_gain(column);
      const std::size_t other = best_partner(column);
      if (other == kNone) continue;
      sum_gain(other);  // what swaps since its last turn have left of it
      if (change(column, other) >= 0) continue;
      const std::size_t from = block_of_[column], to = block_of_[other];
      move(column, to);
      move(other, from);
      changed = true;
    }
    return changed;
  }

  std::vector<std::uint32_t> column_at() const {
    std::vector<std::uint32_t> order(columns_);
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return block_of_[a] < block_of_[b]; });
    return order;
  }

 private:
  std::size_t blocks() const { return stride_ - 1; }

  void sum_excess(const IntegerMatrix& matrix, std::size_t row) {
    std::vector<float> before(stride_, 0);  // [k + 1]: nonzeros in block k, then before its end
    for (std::int64_t i = matrix.row_start[row]; i < matrix.row_start[row + 1]; ++i) {
      const auto column = static_cast<std::size_t>(matrix.column[static_cast<std::size_t>(i)]);
      ++before[block_of_[column] + 1];
    }
    std::partial_sum(before.begin(), before.end(), before.begin());
    const float all = before.back();
    float* sums = sums_.data() + row * stride_;
    for (std::size_t k = 1; k < stride_; ++k) {
      const float even = all * static_cast<float>(k) / static_cast<float>(blocks());
      sums[k] = sums[k - 1] + (before[k] - even);
    }
  }

  // gain[b]: E[r][b] summed over the rows of the column.
  void sum_gain(std::size_t column) {
    float* gain = gain_.data() + column * stride_;
    std::fill_n(gain, stride_, 0.0F);
    for (const std::uint32_t row : lists_.rows(column)) {
      const float* sums = sums_.data() + row * stride_;
      for (std::size_t k = 0; k < stride_; ++k) gain[k] += sums[k];
    }
  }

  // Of the sum, if two columns swap. Rows that have both would not change; there are so few that
  // they are counted like the others.
  float change(std::size_t a, std::size_t b) const {
    const std::size_t at_a = block_of_[a], at_b = block_of_[b];
    const float* gain_a = gain_.data() + a * stride_;
    const float* gain_b = gain_.data() + b * stride_;
    const std::size_t distance = at_a > at_b ? at_a - at_b : at_b - at_a;
    const std::size_t count = lists_.rows(a).size() + lists_.rows(b).size();
    return -2 * ((gain_a[at_b] - gain_a[at_a]) + (gain_b[at_a] - gain_b[at_b])) +
           static_cast<float>(count * distance);
  }

  std::size_t best_partner(std::size_t column) const {
    std::size_t best = kNone;
    float lowest = 0;
    for (std::size_t other = 0; other < columns_; ++other) {
      if (block_of_[other] == block_of_[column]) continue;
      const float candidate = change(column, other);
      if (candidate < lowest) {
        lowest = candidate;
        best = other;
      }
    }
    return best;
  }

  void move(std::size_t column, std::size_t to) {
    const std::size_t from = block_of_[column];
    block_of_[column] = to;
    const std::size_t low = std::min(from, to), high = std::max(from, to);
    const float sign = from < to ? -1.0F : 1.0F;
    for (const std::uint32_t row : lists_.rows(column)) {
      float* sums = sums_.data() + row * stride_;
      for (std::size_t k = low + 1; k < high; ++k) sums[k] += sign * static_cast<float>(k - low);
      for (std::size_t k = high; k < stride_; ++k) sums[k] += sign * static_cast<float>(high - low);
    }
  }

  ColumnLists lists_;
  std::size_t columns_, stride_;
  std::vector<std::size_t> block_of_;  // [C]
  AlignedBuffer<float> sums_;          // [R][K + 1], E
  AlignedBuffer<float> gain_;          // [C][K + 1], some of them older than the last swaps
};

}  // namespace

std::vector<std::uint32_t> search_column_order(const IntegerMatrix& matrix, std::size_t rounds,
                                               std::uint64_t seed) {
  const std::size_t width = (matrix.columns + kMostBlocks - 1) / kMostBlocks;
  const std::size_t block_columns = round_up(width, kWindowStart);
  if (rounds == 0 || matrix.columns <= block_columns || matrix.columns > kMostColumns ||
      ColumnSearch::table_bytes(matrix) > kLargestTables) {
    std::vector<std::uint32_t> in_order(matrix.columns);
    std::iota(in_order.begin(), in_order.end(), 0U);
    return in_order;
  }
  std::mt19937_64 random(seed);
  ColumnSearch search(matrix, block_columns);
  for (std::size_t round = 0; round < rounds && search.round(random); ++round) {
  }
  return search.column_at();
}

ReorderedMatrix::ReorderedMatrix(const IntegerMatrix& matrix,
                                 std::span<const std::uint32_t> column_at)
    : rows_(matrix.rows),
      columns_(matrix.columns),
      row_start_(matrix.row_start.begin(), matrix.row_start.end()),
      column_(matrix.nonzeros()),
      value_(matrix.nonzeros()),
      bias_(matrix.bias) {
  std::vector<std::uint32_t> place(columns_);
  for (std::size_t p = 0; p < columns_; ++p) place[column_at[p]] = static_cast<std::uint32_t>(p);
  // By place first and then row by row: each row's nonzeros come out in increasing order.
  struct Nonzero {
    std::uint32_t row;
    std::int8_t value;
  };
  std::vector<std::size_t> next(columns_ + 1, 0);
  for (const std::int32_t column : matrix.column) {
    ++next[place[static_cast<std::size_t>(column)] + 1];
  }
  std::partial_sum(next.begin(), next.end(), next.begin());
  std::vector<Nonzero> by_place(matrix.nonzeros());
  std::vector<std::size_t> cursor(next.begin(), next.end() - 1);
  for (std::size_t row = 0; row < rows_; ++row) {
    for (auto i = static_cast<std::size_t>(row_start_[row]);
         i < static_cast<std::size_t>(row_start_[row + 1]); ++i) {
      const std::uint32_t p = place[static_cast<std::size_t>(matrix.column[i])];
      by_place[cursor[p]++] = {static_cast<std::uint32_t>(row), matrix.value[i]};
    }
  }
  std::vector<std::int64_t> filled(row_start_.begin(), row_start_.end() - 1);
  for (std::size_t p = 0; p < columns_; ++p) {
    for (std::size_t i = next[p]; i < next[p + 1]; ++i) {
      const auto target = static_cast<std::size_t>(filled[by_place[i].row]++);
      column_[target] = static_cast<std::int32_t>(p);
      value_[target] = by_place[i].value;
    }
  }
}

IntegerMatrix ReorderedMatrix::view() const {
  return {.rows = rows_,
          .columns = columns_,
          .row_start = row_start_,
          .column = column_,
          .value = value_,
          .bias = bias_};
}

}  // namespace sparsespeech
