#include "model_check.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace sparsespeech {
namespace {

constexpr std::size_t kGates = 4;

void require(bool holds, const std::string& layer, const char* what) {
  if (!holds) throw std::invalid_argument("layer " + layer + ": " + what);
}

void check_matrix(const std::string& layer, const IntegerMatrix& matrix) {
  require(matrix.row_start.size() == matrix.rows + 1 && matrix.bias.size() == matrix.rows, layer,
          "row starts or biases do not fit the rows");
  require(matrix.row_start.front() == 0 &&
              std::is_sorted(matrix.row_start.begin(), matrix.row_start.end()) &&
              static_cast<std::size_t>(matrix.row_start.back()) == matrix.value.size() &&
              matrix.column.size() == matrix.value.size(),
          layer, "row starts do not fit the nonzeros");
  const auto columns = static_cast<std::int64_t>(matrix.columns);
  require(std::all_of(matrix.column.begin(), matrix.column.end(),
                      [&](std::int32_t column) { return column >= 0 && column < columns; }),
          layer, "a column lies outside the matrix");
}

void check_requantizer(const std::string& layer, const Requantizer& requantize, std::size_t rows) {
  require(requantize.multiplier.size() == requantize.shift.size() &&
              (requantize.shift.size() == 1 || requantize.shift.size() == rows),
          layer, "multipliers and shifts must be one pair, or one a row");
  require(std::all_of(requantize.shift.begin(), requantize.shift.end(),
                      [](std::int64_t shift) { return shift >= 1 && shift <= 47; }),
          layer, "a shift lies outside 1..47");
}

void check_direction(const std::string& layer, const LstmDirectionModel& direction) {
  check_matrix(layer, direction.input);
  check_matrix(layer, direction.recurrent);
  const std::size_t rows = direction.input.rows, cells = rows / kGates;
  require(rows % kGates == 0 && direction.recurrent.rows == rows, layer,
          "the gates need four rows a cell");
  check_requantizer(layer, direction.input_requantize, rows);
  check_requantizer(layer, direction.recurrent_requantize, rows);
  std::size_t outputs = cells;
  if (direction.projection) {
    check_matrix(layer, direction.projection->weights);
    outputs = direction.projection->weights.rows;
    check_requantizer(layer, direction.projection->requantize, outputs);
    require(direction.projection->weights.columns == cells, layer,
            "the projection does not fit the cells");
  }
  require(direction.recurrent.columns == outputs, layer,
          "the recurrent matrix does not fit the fed-back output");
  if (direction.peephole) {
    require(direction.peephole->weights.size() == 3 * cells, layer,
            "peephole weights do not fit the cells");
    check_requantizer(layer, direction.peephole->requantize, 1);
  }
}

// Checks one layer and returns its number of outputs.
std::size_t check_layer(const LayerModel& layer, std::size_t inputs) {
  if (const auto* lstm = std::get_if<LstmModel>(&layer)) {
    const std::vector<LstmDirectionModel>& directions = lstm->directions;
    require(directions.size() == 1 || directions.size() == 2, lstm->name,
            "an LSTM has one or two directions");
    for (const LstmDirectionModel& direction : directions) {
      check_direction(lstm->name, direction);
      require(direction.input.columns == inputs, lstm->name, "inputs do not fit the layer before");
      require(direction.input.rows == directions[0].input.rows &&
                  direction.recurrent.columns == directions[0].recurrent.columns,
              lstm->name, "the two directions differ in size");
    }
    return directions.size() * directions[0].recurrent.columns;
  }
  if (const auto* linear = std::get_if<LinearModel>(&layer)) {
    check_matrix(linear->name, linear->weights);
    check_requantizer(linear->name, linear->requantize, linear->weights.rows);
    require(linear->weights.columns == inputs, linear->name, "inputs do not fit the layer before");
    return linear->weights.rows;
  }
  const auto& output = std::get<OutputModel>(layer);
  check_matrix(output.name, output.weights);
  require(output.weights.columns == inputs, output.name, "inputs do not fit the layer before");
  return output.weights.rows;
}

}  // namespace

void check_model(const IntegerModel& model) {
  if (model.layers.empty() || !std::holds_alternative<OutputModel>(model.layers.back())) {
    throw std::invalid_argument("the last layer of a model must be its output layer");
  }
  if (model.sigmoid.base.size() != 65 || model.sigmoid.slope.size() != 64) {
    throw std::invalid_argument("the sigmoid table must have 65 bases and 64 slopes");
  }
  std::size_t values = inputs_of(model.layers.front());
  for (const LayerModel& layer : model.layers) values = check_layer(layer, values);
}

std::size_t inputs_of(const LayerModel& layer) {
  if (const auto* linear = std::get_if<LinearModel>(&layer)) return linear->weights.columns;
  if (const auto* output = std::get_if<OutputModel>(&layer)) return output->weights.columns;
  const auto& directions = std::get<LstmModel>(layer).directions;
  return directions.empty() ? 0 : directions[0].input.columns;
}

}  // namespace sparsespeech
