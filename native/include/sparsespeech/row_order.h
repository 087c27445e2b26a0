// Which rows of a swept matrix share a bundle.
//
// The rows of a bundle go through the columns together, window by window, so that a step is wasted
// on each row that has no four nonzeros left in the window. Rows waste little where they are of
// like length and have their nonzeros at like places: alone, nearly every row could be served in
// its length / 4 steps.
//
// Axes: R rows, S slots (rows in packed order, with empty rows as padding).

#ifndef SPARSESPEECH_ROW_ORDER_H_
#define SPARSESPEECH_ROW_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sparsespeech/integer_model.h"
#include "sparsespeech/sweep_matrix.h"

namespace sparsespeech {

// The given rows with those together that take the same number of steps alone and lean to the same
// side of the columns, and empty slots up to a multiple of `multiple`.
std::vector<std::uint32_t> rows_by_shape(const IntegerMatrix& matrix,
                                         std::span<const std::uint32_t> rows, std::size_t multiple);

// Steps of pack_sweep(matrix, row_of_slot, shape). That is the least that these bundles can do
// with: windows follow each other as far right as the nonzeros still to serve allow, and each row
// takes its leftmost ones.
std::size_t count_steps(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                        SweepShape shape);

// A lower bound of count_steps for any order of these rows: bundles by length, each with the steps
// of its longest row.
std::size_t fewest_steps(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                         SweepShape shape);

// How long search_row_order looks.
struct RowSearch {
  std::size_t swaps = 0;   // that it considers
  std::size_t reach = 8;   // bundles between two rows that it swaps, at most
  std::uint64_t seed = 1;  // the same seed finds the same order
};

// `row_of_slot` with rows of different bundles swapped as long as count_steps does not grow; gives
// back what it was given where there is nothing to gain, or where its tables would take more than
// 32 MiB. Throws std::bad_alloc.
std::vector<std::uint32_t> search_row_order(const IntegerMatrix& matrix,
                                            std::span<const std::uint32_t> row_of_slot,
                                            SweepShape shape, const RowSearch& search);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ROW_ORDER_H_
