#include "ordered_model.h"

#include <stdexcept>
#include <variant>

namespace sparsespeech {
namespace {

bool is_permutation(std::span<const std::uint32_t> order, std::size_t size) {
  std::vector<bool> seen(size, false);
  for (const std::uint32_t value : order) {
    if (value >= size || seen[value]) return false;
    seen[value] = true;
  }
  return order.size() == size;
}

}  // namespace

std::string direction_name(const LstmModel& model, std::size_t direction) {
  return model.name + (direction == 0 ? ".forward" : ".backward");
}

OrderedModel::OrderedModel(const IntegerModel& model, const PackedOrders& orders) : model_(model) {
  std::size_t used = 0;
  std::vector<std::uint32_t> input_at;  // empty: inputs in order
  for (LayerModel& layer : model_.layers) {
    if (!input_at.empty()) order_inputs(layer, input_at);
    input_at.clear();
    if (auto* lstm = std::get_if<LstmModel>(&layer)) {
      for (std::size_t d = 0; d < lstm->directions.size(); ++d) {
        used += orders.units.count(direction_name(*lstm, d));
      }
      input_at = order_units(*lstm, orders);
    }
  }
  if (used != orders.units.size()) {
    throw std::invalid_argument("an order of units belongs to no LSTM of the model");
  }
}

void OrderedModel::reorder_columns(IntegerMatrix& matrix,
                                   std::span<const std::uint32_t> column_at) {
  matrix = matrices_.emplace_back(matrix, column_at).view();
}

void OrderedModel::order_inputs(LayerModel& layer, std::span<const std::uint32_t> input_at) {
  if (auto* lstm = std::get_if<LstmModel>(&layer)) {
    for (LstmDirectionModel& direction : lstm->directions) {
      reorder_columns(direction.input, input_at);
    }
  } else if (auto* linear = std::get_if<LinearModel>(&layer)) {
    reorder_columns(linear->weights, input_at);
  } else {
    reorder_columns(std::get<OutputModel>(layer).weights, input_at);
  }
}

// Orders the units of each direction; returns which output of the layer stands where, or nothing
// where all stand in order.
std::vector<std::uint32_t> OrderedModel::order_units(LstmModel& lstm, const PackedOrders& orders) {
  std::vector<std::uint32_t> output_at;
  bool changed = false;
  for (std::size_t d = 0; d < lstm.directions.size(); ++d) {
    LstmDirectionModel& direction = lstm.directions[d];
    const auto first = static_cast<std::uint32_t>(output_at.size());
    const std::size_t outputs = direction.recurrent.columns;
    const auto order = orders.units.find(direction_name(lstm, d));
    if (order == orders.units.end()) {
      for (std::size_t unit = 0; unit < outputs; ++unit) {
        output_at.push_back(first + static_cast<std::uint32_t>(unit));
      }
      continue;
    }
    if (direction.projection || !is_permutation(order->second, outputs)) {
      throw std::invalid_argument("the order of the units of " + order->first +
                                  " is no permutation of them, or they are projected");
    }
    changed = true;
    direction.unit_at = order->second;
    reorder_columns(direction.recurrent, order->second);
    for (const std::uint32_t unit : order->second) output_at.push_back(first + unit);
  }
  return changed ? output_at : std::vector<std::uint32_t>();
}

}  // namespace sparsespeech
