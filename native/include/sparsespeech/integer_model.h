// The integer model as the engine receives it: views of arrays that the model file's reader has
// proved (shapes, index ranges, rules R3 to R5), valid during the construction of an engine only.
//
// Axes: R rows (outputs), C columns (inputs), H cells of one direction, P projected outputs,
// V labels. Rule numbers: src/sparsespeech/integer_arithmetic/spec.md.

#ifndef SPARSESPEECH_INTEGER_MODEL_H_
#define SPARSESPEECH_INTEGER_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace sparsespeech {

// Compressed sparse rows, and the bias that rule R3 folds the input's zero point into.
struct IntegerMatrix {
  std::size_t rows = 0, columns = 0;
  std::span<const std::int64_t> row_start;  // [R + 1]
  std::span<const std::int32_t> column;     // [nonzeros], increasing inside a row
  std::span<const std::int8_t> value;       // [nonzeros]
  std::span<const std::int64_t> bias;       // [R], in the range of int32

  std::size_t nonzeros() const { return value.size(); }
  std::size_t row_nonzeros(std::size_t row) const {
    return static_cast<std::size_t>(row_start[row + 1] - row_start[row]);
  }
};

// Rule R4: one multiplier and shift, or one pair a row.
struct Requantizer {
  std::span<const std::int64_t> multiplier;  // [1] or [R], in [2^15, 2^16)
  std::span<const std::int64_t> shift;       // [1] or [R], in [1, 47]
};

struct LinearModel {
  std::string name;
  IntegerMatrix weights;
  Requantizer requantize;
  int zero_point = 0, low = 0, high = 255;
};

struct ProjectionModel {
  IntegerMatrix weights;  // [P, H]
  Requantizer requantize;
  int zero_point = 0;
};

struct PeepholeModel {
  std::span<const std::int16_t> weights;  // [3, H]: i, f, o
  Requantizer requantize;                 // one pair
};

struct LstmDirectionModel {
  IntegerMatrix input;      // [4H, C], gate order i, f, g, o
  IntegerMatrix recurrent;  // [4H, H or P]
  Requantizer input_requantize, recurrent_requantize;
  std::optional<PeepholeModel> peephole = {};
  std::optional<ProjectionModel> projection = {};
  // [H], the unit that stands at each place of the output; empty: units in order.
  std::span<const std::uint32_t> unit_at = {};
};

struct LstmModel {
  std::string name;
  std::vector<LstmDirectionModel> directions;  // forward, and backward if there is one
};

struct OutputModel {
  std::string name;
  IntegerMatrix weights;
};

using LayerModel = std::variant<LinearModel, LstmModel, OutputModel>;

struct SigmoidTable {                   // rule R6
  std::span<const std::int16_t> base;   // [65]
  std::span<const std::int16_t> slope;  // [64]
};

struct IntegerModel {
  std::vector<LayerModel> layers;  // the last one is the output layer, and only it
  SigmoidTable sigmoid;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_INTEGER_MODEL_H_
