// The orders in which an engine keeps the units and the rows of a model. They change how long a
// product takes, never its result.

#ifndef SPARSESPEECH_PACKED_ORDERS_H_
#define SPARSESPEECH_PACKED_ORDERS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sparsespeech {

struct PackedOrders {
  // By direction of an LSTM without projection ("layer4.forward"): the unit that stands at each
  // place of its output, uint32[H].
  std::map<std::string, std::vector<std::uint32_t>> units = {};
  // By matrix ("layer2", "layer4.forward.recurrent"): the row of each slot, the parts of the
  // threads one after the other. An LSTM's input weights have the slots of its recurrent ones.
  std::map<std::string, std::vector<std::uint32_t>> rows = {};
};

// How long an engine looks for orders that make its swept matrices small. It begins with the orders
// that it is given. What it does without being asked takes about 0.2 s for each direction of the
// full model.
struct OrderSearch {
  std::size_t column_rounds = 3;                  // for units that have no order yet
  std::size_t swaps_per_row = 32;                 // in the recurrent matrices
  std::size_t most_swaps = std::size_t{1} << 18;  // of one part of a matrix
  std::size_t reach = 8;                          // see RowSearch
  bool every_matrix = false;                      // in the fully connected layers too
  std::uint64_t seed = 1;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_PACKED_ORDERS_H_
