// A model whose LSTM units stand in another order. It computes the same logits: the columns of the
// matrices that read a layer's outputs follow its units.

#ifndef SPARSESPEECH_ENGINE_ORDERED_MODEL_H_
#define SPARSESPEECH_ENGINE_ORDERED_MODEL_H_

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "sparsespeech/column_order.h"
#include "sparsespeech/integer_model.h"
#include "sparsespeech/packed_orders.h"

namespace sparsespeech {

// "layer4.forward", "layer4.backward".
std::string direction_name(const LstmModel& model, std::size_t direction);

class OrderedModel {
 public:
  // Holds views of `model` and `orders`, and copies of the matrices that change. Throws
  // std::bad_alloc, and std::invalid_argument for an order of units that is no permutation or that
  // belongs to no direction of the model, or to one with a projection.
  OrderedModel(const IntegerModel& model, const PackedOrders& orders);

  const IntegerModel& model() const { return model_; }

 private:
  void reorder_columns(IntegerMatrix& matrix, std::span<const std::uint32_t> column_at);
  void order_inputs(LayerModel& layer, std::span<const std::uint32_t> input_at);
  std::vector<std::uint32_t> order_units(LstmModel& lstm, const PackedOrders& orders);

  IntegerModel model_;
  std::deque<ReorderedMatrix> matrices_;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_ORDERED_MODEL_H_
