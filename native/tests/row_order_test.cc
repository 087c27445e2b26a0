// The counted sweep against the packed one and against the fewest windows of all; searches for
// orders of rows and columns; patterns that need no padding.

#include "sparsespeech/row_order.h"

#include <cmath>
#include <numeric>
#include <set>

#include "../src/packing/bundle_sweep.h"
#include "plain_matrix.h"
#include "sparsespeech/column_order.h"

namespace sparsespeech {
namespace {

using Slots = std::vector<std::uint32_t>;

void expect(bool holds, const char* what, std::size_t actual, std::size_t expected) {
  if (holds) return;
  ++failures;
  std::fprintf(stderr, "%s: %zu, expected %zu\n", what, actual, expected);
}

PlainMatrix sparse_matrix(std::size_t rows, std::size_t columns, double density, Random& random) {
  PlainMatrix matrix(rows, columns);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      if (static_cast<double>(draw(random, 0, 999999)) < density * 1e6) {
        matrix.weight(row, column) = 1;
      }
    }
  }
  return matrix;
}

Slots shuffled(std::size_t rows, std::size_t multiple, Random& random) {
  Slots slots(rows);
  std::iota(slots.begin(), slots.end(), 0U);
  slots.resize(round_up(rows, multiple), kEmptySlot);
  std::shuffle(slots.begin(), slots.end(), random);
  return slots;
}

Slots in_order(std::size_t rows) {
  Slots slots(rows);
  std::iota(slots.begin(), slots.end(), 0U);
  return slots;
}

std::size_t packed_steps(const SweepMatrix& matrix) {
  return std::accumulate(matrix.steps.span().begin(), matrix.steps.span().end(), std::size_t{0});
}

bool same_rows(Slots a, Slots b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

void test_counts_are_those_of_the_packer() {
  Random random(1);
  for (const std::size_t columns : {1, 15, 16, 17, 100, 251, 252, 255, 256, 700, 2048}) {
    for (const double density : {0.03, 0.5, 1.0}) {  // 1.0: rows around what a byte counts
      PlainMatrix plain = sparse_matrix(70, columns, density, random);
      const IntegerMatrix matrix = plain.compressed();
      for (const std::size_t window : {64, 96, 128, 192, 256}) {
        for (const std::size_t groups : {1, 2, 4}) {
          const SweepShape shape{window, groups};
          const Slots slots = shuffled(70, kLanes * groups, random);
          const std::size_t counted = count_steps(matrix, slots, shape);
          const std::size_t packed = packed_steps(pack_sweep(matrix, slots, shape));
          expect(counted == packed, "count_steps", counted, packed);
          const std::size_t fewest = fewest_steps(matrix, slots, shape);
          expect(fewest <= counted, "fewest_steps", fewest, counted);
        }
      }
    }
  }
}

// Whether windows that start at these blocks can serve each row, four nonzeros a window: for each
// run of blocks, the windows that meet it must have room for its nonzeros (Hall's theorem; the
// windows that can serve a block are neighbours).
bool can_serve(const std::vector<std::vector<int>>& rows, const std::vector<int>& windows,
               int window_blocks) {
  const int blocks = static_cast<int>(rows[0].size());
  for (const std::vector<int>& counts : rows) {
    for (int first = 0; first < blocks; ++first) {
      int nonzeros = 0;
      for (int last = first; last < blocks; ++last) {
        nonzeros += counts[static_cast<std::size_t>(last)];
        const auto meeting = std::count_if(windows.begin(), windows.end(), [&](int start) {
          return start <= last && start + window_blocks > first;
        });
        if (nonzeros > 4 * meeting) return false;
      }
    }
  }
  return true;
}

// Extends `windows`, in order of their starts, to `count` of them that can serve the rows.
bool some_windows_serve(const std::vector<std::vector<int>>& rows, std::vector<int>& windows,
                        std::size_t count, int window_blocks) {
  if (windows.size() == count) return can_serve(rows, windows, window_blocks);
  const int blocks = static_cast<int>(rows[0].size());
  for (int start = windows.empty() ? 0 : windows.back(); start < blocks; ++start) {
    windows.push_back(start);
    const bool found = some_windows_serve(rows, windows, count, window_blocks);
    windows.pop_back();
    if (found) return true;
  }
  return false;
}

void test_no_windows_need_fewer_steps() {
  Random random(2);
  constexpr std::size_t kBlocks = 7;
  constexpr SweepShape kShape{64, 1};
  for (int round = 0; round < 200; ++round) {
    PlainMatrix plain = sparse_matrix(4, kBlocks * kWindowStart,
                                      static_cast<double>(draw(random, 2, 15)) / 100, random);
    std::vector<std::vector<int>> rows(4, std::vector<int>(kBlocks, 0));
    for (std::size_t row = 0; row < 4; ++row) {
      for (std::size_t c = 0; c < plain.columns(); ++c) {
        rows[row][c / kWindowStart] += plain.weight(row, c) != 0;
      }
    }
    Slots slots = in_order(4);
    slots.resize(kLanes, kEmptySlot);
    const std::size_t steps = count_steps(plain.compressed(), slots, kShape);
    std::vector<int> windows;
    std::size_t fewest = 0;
    while (!some_windows_serve(rows, windows, fewest, 4)) ++fewest;
    expect(steps == fewest, "steps of the packer", steps, fewest);
  }
}

// Whether the steps before the last would serve a row of another bundle.
void test_rows_that_are_served_early() {
  Random random(10);
  constexpr std::size_t kBlocks = 12, kWindowBlocks = 4;
  PlainMatrix plain = sparse_matrix(2 * kLanes, kBlocks * kWindowStart, 0.06, random);
  const IntegerMatrix matrix = plain.compressed();
  using Counts = BundleCounts<std::uint8_t, kLanes>;
  std::vector<std::uint8_t> table(2 * Counts::size(kBlocks, kWindowBlocks));
  Counts own(table.data(), kBlocks, kWindowBlocks);
  Counts other(table.data() + table.size() / 2, kBlocks, kWindowBlocks);
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    own.set_row(matrix, static_cast<std::uint32_t>(lane), lane);
    other.set_row(matrix, static_cast<std::uint32_t>(kLanes + lane), lane);
  }
  BundleSweep sweep;
  sweep.run(own);
  const std::vector<int> windows(sweep.windows.begin(), sweep.windows.end() - 1);
  std::size_t early = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    std::vector<std::vector<int>> counts(1, std::vector<int>(kBlocks, 0));
    for (std::size_t c = 0; c < plain.columns(); ++c) {
      counts[0][c / kWindowStart] += plain.weight(kLanes + lane, c) != 0;
    }
    const bool expected = can_serve(counts, windows, kWindowBlocks);
    expect(sweep.serves_early(other, lane) == expected, "a row served early", lane, expected);
    early += expected;
  }
  expect(early > 0 && early < kLanes, "rows served early, some of 16", early, 8);
}

void test_fewest_steps() {
  PlainMatrix plain(128, 128);  // row r has r + 1 nonzeros
  for (std::size_t row = 0; row < 128; ++row) {
    for (std::size_t column = 0; column <= row; ++column) plain.weight(row, column) = 1;
  }
  const std::size_t fewest = fewest_steps(plain.compressed(), in_order(128), {256, 4});
  expect(fewest == 128 / 4 + 64 / 4, "fewest steps of two bundles", fewest, 48);
}

void test_rows_by_shape() {
  Random random(3);
  PlainMatrix plain = random_matrix(150, 300, random);
  const IntegerMatrix matrix = plain.compressed();
  const Slots rows = {3, 77, 5, 149, 0, 8, 21};
  Slots expected = rows;
  expected.resize(64, kEmptySlot);
  const Slots slots = rows_by_shape(matrix, rows, 64);
  expect(same_rows(slots, expected), "rows kept by rows_by_shape", 0, 1);
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
    const std::size_t first = (matrix.row_nonzeros(slots[i]) + 3) / 4;
    const std::size_t second = (matrix.row_nonzeros(slots[i + 1]) + 3) / 4;
    expect(first >= second, "steps of a row before a shorter one", first, second);
  }
  expect(slots[rows.size()] == kEmptySlot, "slot behind the rows", slots[rows.size()], kEmptySlot);
}

void test_search_finds_fewer_steps() {
  Random random(4);
  for (const std::size_t columns : {700, 2600}) {  // rows of about 40, and of more than 255
    const double density = columns == 700 ? 0.06 : 0.11;
    PlainMatrix plain = sparse_matrix(512, columns, density, random);
    const IntegerMatrix matrix = plain.compressed();
    for (const std::size_t groups : {1, 2, 4}) {
      const SweepShape shape{128, groups};
      const Slots before = rows_by_shape(matrix, in_order(512), 64);
      const RowSearch search{.swaps = 20000, .reach = 8, .seed = 7};
      const Slots after = search_row_order(matrix, before, shape, search);
      expect(same_rows(before, after), "rows kept by search_row_order", 0, 1);
      const std::size_t steps_before = count_steps(matrix, before, shape);
      const std::size_t steps_after = count_steps(matrix, after, shape);
      expect(100 * steps_after < 99 * steps_before, "steps after a search", steps_after,
             steps_before);
      expect(after == search_row_order(matrix, before, shape, search), "a repeated search", 0, 1);
      const Slots kept = search_row_order(matrix, before, shape, {.swaps = 0});
      expect(kept == before, "a search without swaps", 0, 1);
    }
  }
}

// Rows with empty slots among them, one bundle only, no rows.
void test_search_of_few_rows() {
  Random random(5);
  PlainMatrix plain = sparse_matrix(70, 500, 0.1, random);
  const IntegerMatrix matrix = plain.compressed();
  for (const std::size_t rows : {0, 1, 64, 70}) {
    const Slots before = shuffled(rows, 64, random);
    const Slots after = search_row_order(matrix, before, {256, 4}, {.swaps = 3000});
    expect(same_rows(before, after), "rows kept by a search of few", 0, 1);
    const std::size_t steps = count_steps(matrix, after, {256, 4});
    const std::size_t most = count_steps(matrix, before, {256, 4});
    expect(steps <= most, "steps after a search of few", steps, most);
  }
}

// Each row has `nonzeros` at random places of each bank of `bank` columns.
PlainMatrix banked_matrix(std::size_t rows, std::size_t columns, double bank, std::size_t nonzeros,
                          Random& random) {
  PlainMatrix matrix(rows, columns);
  const auto banks = static_cast<std::size_t>(static_cast<double>(columns) / bank);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t b = 0; b < banks; ++b) {
      const auto first = static_cast<int>(std::ceil(static_cast<double>(b) * bank));
      const auto end = static_cast<int>(std::ceil(static_cast<double>(b + 1) * bank));
      std::set<std::int64_t> places;
      while (places.size() < nonzeros) places.insert(draw(random, first, end - 1));
      for (const std::int64_t c : places) matrix.weight(row, static_cast<std::size_t>(c)) = 1;
    }
  }
  return matrix;
}

// Bank-balanced and N:M patterns: with 64 rows a bundle, not one slot is wasted.
void test_structured_patterns_need_no_padding() {
  Random random(6);
  struct Pattern {
    std::size_t columns;
    double bank;
    std::size_t nonzeros;
  };
  for (const Pattern& pattern :
       {Pattern{2048, 102.4, 4}, Pattern{2048, 64, 4}, Pattern{2048, 16, 1}, Pattern{2048, 32, 2},
        Pattern{1024, 4, 2}, Pattern{1000, 50, 2}}) {
    PlainMatrix plain = banked_matrix(256, pattern.columns, pattern.bank, pattern.nonzeros, random);
    const IntegerMatrix matrix = plain.compressed();
    const Slots slots = rows_by_shape(matrix, in_order(256), 64);
    const std::size_t steps = count_steps(matrix, slots, {256, 4});
    expect(steps * 64 * kEntries == matrix.nonzeros(), "slots of a structured matrix",
           steps * 64 * kEntries, matrix.nonzeros());
  }
}

void test_column_search() {
  Random random(7);
  PlainMatrix plain = sparse_matrix(512, 1024, 0.04, random);
  const IntegerMatrix matrix = plain.compressed();
  const Slots order = search_column_order(matrix, 3, 5);
  expect(same_rows(order, in_order(1024)), "columns kept by search_column_order", 0, 1);
  expect(order == search_column_order(matrix, 3, 5), "a repeated column search", 0, 1);
  expect(search_column_order(matrix, 0, 5) == in_order(1024), "no rounds", 0, 1);
  const ReorderedMatrix reordered(matrix, order);
  const Slots rows = in_order(512);
  const std::size_t before = count_steps(matrix, rows_by_shape(matrix, rows, 64), {256, 4});
  const IntegerMatrix moved = reordered.view();
  const std::size_t after = count_steps(moved, rows_by_shape(moved, rows, 64), {256, 4});
  expect(100 * after < 93 * before, "steps after a column search", after, before);
}

// The sum that a column search lowers, from its definition.
double unevenness(const IntegerMatrix& matrix, std::size_t block_columns) {
  double sum = 0;
  const std::size_t blocks = (matrix.columns + block_columns - 1) / block_columns;
  for (std::size_t row = 0; row < matrix.rows; ++row) {
    for (std::size_t k = 1; k <= blocks; ++k) {
      double before = 0;
      for (auto i = static_cast<std::size_t>(matrix.row_start[row]);
           i < static_cast<std::size_t>(matrix.row_start[row + 1]); ++i) {
        before += static_cast<std::size_t>(matrix.column[i]) < k * block_columns;
      }
      const double even =
          static_cast<double>(matrix.row_nonzeros(row) * k) / static_cast<double>(blocks);
      sum += (before - even) * (before - even);
    }
  }
  return sum;
}

void test_every_round_of_a_column_search_helps() {
  Random random(8);
  PlainMatrix plain = sparse_matrix(300, 512, 0.05, random);
  const IntegerMatrix matrix = plain.compressed();
  double last = unevenness(matrix, 16);
  for (std::size_t rounds = 1; rounds <= 3; ++rounds) {
    const ReorderedMatrix reordered(matrix, search_column_order(matrix, rounds, 1));
    const double now = unevenness(reordered.view(), 16);
    const double most = rounds == 1 ? 0.75 * last : last;
    expect(now < most, "unevenness after a round, tenths", static_cast<std::size_t>(now * 10),
           static_cast<std::size_t>(most * 10));
    last = now;
  }
}

void test_reordered_matrix() {
  Random random(9);
  PlainMatrix plain = random_matrix(40, 130, random);
  const IntegerMatrix matrix = plain.compressed();
  Slots column_at = shuffled(130, 1, random);
  const ReorderedMatrix reordered(matrix, column_at);
  const IntegerMatrix moved = reordered.view();
  expect(moved.nonzeros() == matrix.nonzeros(), "nonzeros", moved.nonzeros(), matrix.nonzeros());
  for (std::size_t row = 0; row < moved.rows; ++row) {
    std::int32_t last = -1;
    for (auto i = static_cast<std::size_t>(moved.row_start[row]);
         i < static_cast<std::size_t>(moved.row_start[row + 1]); ++i) {
      const std::int32_t place = moved.column[i];
      expect(place > last, "a place after", static_cast<std::size_t>(place),
             static_cast<std::size_t>(last));
      const std::int8_t expected = plain.weight(row, column_at[static_cast<std::size_t>(place)]);
      expect(moved.value[i] == expected, "a moved weight", static_cast<std::size_t>(moved.value[i]),
             static_cast<std::size_t>(expected));
      last = place;
    }
    expect(moved.bias[row] == matrix.bias[row], "a bias", 0, 1);
  }
}

}  // namespace
}  // namespace sparsespeech

int main() {
  using namespace sparsespeech;
  test_counts_are_those_of_the_packer();
  test_no_windows_need_fewer_steps();
  test_rows_that_are_served_early();
  test_fewest_steps();
  test_rows_by_shape();
  test_search_finds_fewer_steps();
  test_search_of_few_rows();
  test_structured_patterns_need_no_padding();
  test_column_search();
  test_every_round_of_a_column_search_helps();
  test_reordered_matrix();
  std::printf("orders: %zu failures\n", failures);
  return failures == 0 ? 0 : 1;
}
