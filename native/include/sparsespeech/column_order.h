// In which order a swept matrix has its columns.
//
// A step serves four nonzeros of each row in one window, so that rows whose nonzeros stand evenly
// over the columns need the fewest steps. The columns of a recurrent matrix are the units of its
// layer, which may stand in any order: the order is chosen that spreads the nonzeros of all rows.
//
// Axes: R rows, C columns.

#ifndef SPARSESPEECH_COLUMN_ORDER_H_
#define SPARSESPEECH_COLUMN_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sparsespeech/integer_model.h"

namespace sparsespeech {

// The column that stands at each place, uint32[C]: found by `rounds` rounds of swaps of two
// columns, each of which lowers the sum over rows and places of the squared distance between the
// nonzeros before that place and an even spread. `seed` orders the columns of a round. In order
// where there is nothing to gain, and where the search would take more than 64 MiB or has more than
// 8192 columns. Throws std::bad_alloc.
std::vector<std::uint32_t> search_column_order(const IntegerMatrix& matrix, std::size_t rounds,
                                               std::uint64_t seed);

// A copy of a matrix with its columns in another order: column_at[p] stands at place p. Throws
// std::bad_alloc. `column_at` is a permutation of the columns.
class ReorderedMatrix {
 public:
  ReorderedMatrix(const IntegerMatrix& matrix, std::span<const std::uint32_t> column_at);

  // Valid as long as this object and the bias of the matrix that it was made from.
  IntegerMatrix view() const;

 private:
  std::size_t rows_, columns_;
  std::vector<std::int64_t> row_start_;
  std::vector<std::int32_t> column_;
  std::vector<std::int8_t> value_;
  std::span<const std::int64_t> bias_;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_COLUMN_ORDER_H_
