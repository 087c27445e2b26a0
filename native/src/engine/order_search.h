// Searches for orders of units and rows before a model is packed, on the threads of the engine.

#ifndef SPARSESPEECH_ENGINE_ORDER_SEARCH_H_
#define SPARSESPEECH_ENGINE_ORDER_SEARCH_H_

#include <cstddef>
#include <vector>

#include "packed_layer.h"
#include "sparsespeech/integer_model.h"
#include "sparsespeech/packed_orders.h"
#include "sparsespeech/thread_pool.h"

namespace sparsespeech {

// How one layer is packed, and on how many threads each of its directions (or it) is split.
struct LayerPacking {
  Packing packing;
  std::size_t parts;
};

// Adds an order of the units of each LSTM direction that has none in `orders`, and whose recurrent
// matrix wastes slots. Both functions throw std::bad_alloc.
void search_unit_orders(const IntegerModel& model, const std::vector<LayerPacking>& packings,
                        const OrderSearch& search, ThreadPool& pool, PackedOrders& orders);

// Adds or improves the orders of rows; `model` has its units in order. Throws
// std::invalid_argument for an order in `orders` that does not hold the rows of its matrix.
void search_row_orders(const IntegerModel& model, const std::vector<LayerPacking>& packings,
                       const OrderSearch& search, ThreadPool& pool, PackedOrders& orders);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_ORDER_SEARCH_H_
