// sparsespeech._native.training: the training kernels as Python sees them.
//
// Axes: T steps, B utterances, L lanes (16, 32, 48 or 64), F features, R rows, C columns, H cells.
// Bfloat16 arrays come as int16, because numpy has no bfloat16.

#include "sparsespeech/training.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <variant>

namespace nb = nanobind;

namespace sparsespeech {
namespace {

using namespace nb::literals;

template <typename T, std::size_t kAxes>
using Array = nb::ndarray<T, nb::ndim<kAxes>, nb::c_contig, nb::device::cpu>;
using Activations = Array<const float, 3>;
using Result = Array<float, 3>;
using Offsets = Array<const std::int32_t, 1>;
using Values = Array<const float, 1>;
using Lengths = Array<const std::int32_t, 1>;
using DenseMatrix = Array<const std::int16_t, 2>;
using SparseMatrix = std::tuple<Offsets, Offsets, Values>;
using Recurrent = std::variant<SparseMatrix, DenseMatrix>;

void require(bool fits, const char* what) {
  if (!fits) throw std::invalid_argument(std::string("training kernel: ") + what);
}

void require_kernels() {
  require(training_available(), "this processor has no AVX-512 with BF16; ask available() first");
}

std::size_t lanes_of(std::size_t lanes) {
  require(lanes % kLanesOfRegister == 0 && lanes > 0 && lanes <= kMostLanes,
          "lanes must be 16, 32, 48 or 64");
  return lanes;
}

SparseRows pattern_of(const Offsets& first, const Offsets& columns, std::size_t column_count) {
  require(first.size() >= 1 && first.data()[0] == 0, "row offsets must begin with 0");
  for (std::size_t row = 0; row + 1 < first.size(); ++row) {
    require(first.data()[row] <= first.data()[row + 1], "row offsets must not decrease");
  }
  const auto last = static_cast<std::size_t>(first.data()[first.size() - 1]);
  require(last == columns.size(), "the last row offset must be the number of nonzeros");
  bool inside = true;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    inside &= static_cast<std::uint32_t>(columns.data()[i]) < column_count;
  }
  require(inside, "a column is beyond the matrix");
  return {{first.data(), first.size()}, {columns.data(), columns.size()}, nullptr};
}

SparseRows matrix_of(const SparseMatrix& matrix, std::size_t columns) {
  const auto& [first, indices, values] = matrix;
  SparseRows rows = pattern_of(first, indices, columns);
  require(values.size() == indices.size(), "one value for each nonzero");
  rows.values = values.data();
  return rows;
}

template <typename T>
void call_to_lanes(Array<const T, 3> x, std::size_t column, Result out) {
  require(x.shape(0) == out.shape(0) && x.shape(1) <= out.shape(2) &&
              column + out.shape(1) <= x.shape(2),
          "to_lanes reads [T, F, L] from columns of [T, B, S] with B <= L");
  const Steps shape{x.shape(0), lanes_of(out.shape(2))};
  require_kernels();
  const nb::gil_scoped_release release;
  if constexpr (sizeof(T) == sizeof(float)) {
    sparsespeech::to_lanes(x.data() + column, x.shape(1), out.shape(1), shape, x.shape(2),
                           out.data());
  } else {
    sparsespeech::to_lanes(reinterpret_cast<const std::uint16_t*>(x.data()) + column, x.shape(1),
                           out.shape(1), shape, x.shape(2), out.data());
  }
}

void call_from_lanes(Activations x, std::size_t column, Result out) {
  require(x.shape(0) == out.shape(0) && out.shape(1) <= x.shape(2) &&
              column + x.shape(1) <= out.shape(2),
          "from_lanes writes [T, F, L] into columns of [T, B, S] with B <= L");
  const Steps shape{x.shape(0), lanes_of(x.shape(2))};
  require_kernels();
  const nb::gil_scoped_release release;
  sparsespeech::from_lanes(x.data(), out.shape(1), x.shape(1), shape, out.shape(2),
                           out.data() + column);
}

// Raises unless there are `rows` rows in `shape`, of lengths between 0 and its steps.
void require_rows(const Lengths& lengths, Steps shape, std::size_t rows) {
  require(lengths.size() == shape.lanes, "one length for each lane");
  std::size_t count = 0;
  for (std::size_t lane = 0; lane < shape.lanes; ++lane) {
    const std::int32_t length = lengths.data()[lane];
    require(length >= 0 && static_cast<std::size_t>(length) <= shape.steps,
            "lengths must be 0 to the number of steps");
    count += static_cast<std::size_t>(length);
  }
  require(count == rows, "one row for each frame of each lane");
}

void call_rows_to_lanes(Array<const std::int16_t, 2> rows, Lengths lengths, Result out) {
  const Steps shape{out.shape(0), lanes_of(out.shape(2))};
  require(rows.shape(1) == out.shape(1), "rows_to_lanes turns [R, F] into [T, F, L]");
  require_rows(lengths, shape, rows.shape(0));
  require_kernels();
  const nb::gil_scoped_release release;
  sparsespeech::rows_to_lanes(reinterpret_cast<const std::uint16_t*>(rows.data()), rows.shape(1),
                              lengths.data(), shape, out.data());
}

void call_lanes_to_rows(Activations x, Lengths lengths, Array<std::int16_t, 2> out) {
  const Steps shape{x.shape(0), lanes_of(x.shape(2))};
  require(x.shape(1) == out.shape(1), "lanes_to_rows turns [T, F, L] into [R, F]");
  require_rows(lengths, shape, out.shape(0));
  require_kernels();
  const nb::gil_scoped_release release;
  sparsespeech::lanes_to_rows(x.data(), x.shape(1), lengths.data(), shape,
                              reinterpret_cast<std::uint16_t*>(out.data()));
}

void call_sparse_product(SparseMatrix matrix, std::optional<Values> bias, Activations x,
                         bool bfloat16, bool add, Result out) {
  const SparseRows rows = matrix_of(matrix, x.shape(1));
  require(x.shape(0) == out.shape(0) && x.shape(2) == out.shape(2) && rows.rows() == out.shape(1),
          "sparse_product turns [T, C, L] into [T, R, L]");
  require(!bias || bias->size() == rows.rows(), "one bias for each row");
  const Steps shape{x.shape(0), lanes_of(x.shape(2))};
  require_kernels();
  const nb::gil_scoped_release release;
  sparsespeech::sparse_product(rows, bias ? bias->data() : nullptr, x.data(), x.shape(1), shape,
                               bfloat16, add, out.data());
}

void call_sparse_gradient(Offsets first, Offsets columns, Activations gradient, Activations x,
                          bool bfloat16, Array<float, 1> out) {
  const SparseRows pattern = pattern_of(first, columns, x.shape(1));
  require(gradient.shape(0) == x.shape(0) && gradient.shape(2) == x.shape(2) &&
              gradient.shape(1) == pattern.rows() && out.size() == columns.size(),
          "sparse_gradient takes [T, R, L] and [T, C, L]");
  const Steps shape{x.shape(0), lanes_of(x.shape(2))};
  require_kernels();
  const nb::gil_scoped_release release;
  sparsespeech::sparse_gradient(pattern, gradient.data(), x.data(), x.shape(1), shape, bfloat16,
                                out.data());
}

// The shape and the recurrent matrix of one LSTM call.
struct Direction {
  LstmShape shape;
  SparseRows sparse;
  RecurrentMatrix recurrent;
};

Direction direction_of(const Lengths& lengths, bool reverse, const Recurrent& recurrent,
                       std::size_t steps, std::size_t cells, std::size_t lanes, bool transposed) {
  require(lengths.size() == lanes_of(lanes), "one length for each lane");
  const std::size_t rows = transposed ? cells : 4 * cells;
  const std::size_t columns = transposed ? 4 * cells : cells;
  Direction direction{{steps, cells, lanes, lengths.data(), reverse}, {}, {}};
  if (const auto* dense = std::get_if<DenseMatrix>(&recurrent)) {
    require(dense->shape(0) == rows && dense->shape(1) == columns && columns % 2 == 0,
            "the recurrent matrix has the wrong shape or an odd number of columns");
    direction.recurrent.dense = reinterpret_cast<const std::uint16_t*>(dense->data());
  } else {
    direction.sparse = matrix_of(std::get<SparseMatrix>(recurrent), columns);
    require(direction.sparse.rows() == rows, "the recurrent matrix has the wrong rows");
  }
  return direction;
}

void call_lstm_forward(Lengths lengths, bool reverse, Recurrent recurrent, Values bias,
                       std::tuple<float, float, float> rounding, bool bfloat16, Result gates,
                       Result cell, Result hidden) {
  Direction direction =
      direction_of(lengths, reverse, recurrent, cell.shape(0), cell.shape(1), cell.shape(2), false);
  for (const Result* array : {&gates, &hidden}) {
    const std::size_t rows = array == &gates ? 4 * cell.shape(1) : cell.shape(1);
    require(array->shape(0) == cell.shape(0) && array->shape(1) == rows &&
                array->shape(2) == cell.shape(2),
            "lstm_forward takes gates [T, 4H, L], cell and hidden [T, H, L]");
  }
  require(bias.size() == 4 * cell.shape(1), "one bias for each row");
  const LstmRounding steps{std::get<0>(rounding), std::get<1>(rounding), std::get<2>(rounding)};
  if (direction.recurrent.dense == nullptr) direction.recurrent.sparse = &direction.sparse;
  direction.recurrent.bfloat16 = bfloat16;
  require_kernels();
  const nb::gil_scoped_release release;
  sparsespeech::lstm_forward(direction.shape, direction.recurrent, bias.data(), steps, gates.data(),
                             cell.data(), hidden.data());
}

void call_lstm_backward(Lengths lengths, bool reverse, Recurrent transposed,
                        std::tuple<float, float, float> rounding, bool bfloat16,
                        Activations grad_hidden, Activations cell, Result gates,
                        Array<float, 1> grad_bias) {
  Direction direction =
      direction_of(lengths, reverse, transposed, cell.shape(0), cell.shape(1), cell.shape(2), true);
  require(gates.shape(0) == cell.shape(0) && gates.shape(1) == 4 * cell.shape(1) &&
              gates.shape(2) == cell.shape(2) && grad_hidden.shape(0) == cell.shape(0) &&
              grad_hidden.shape(1) == cell.shape(1) && grad_hidden.shape(2) == cell.shape(2),
          "lstm_backward takes gates [T, 4H, L], cell and grad_hidden [T, H, L]");
  require(grad_bias.size() == gates.shape(1), "one gradient of a bias for each row");
  if (direction.recurrent.dense == nullptr) direction.recurrent.sparse = &direction.sparse;
  direction.recurrent.bfloat16 = bfloat16;
  const LstmRounding steps{std::get<0>(rounding), std::get<1>(rounding), std::get<2>(rounding)};
  require_kernels();
  const nb::gil_scoped_release release;
  sparsespeech::lstm_backward(direction.shape, direction.recurrent, steps, grad_hidden.data(),
                              cell.data(), gates.data(), grad_bias.data());
}

}  // namespace
}  // namespace sparsespeech

void bind_training(nb::module_& parent) {
  namespace ss = sparsespeech;
  using namespace nb::literals;
  nb::module_ module = parent.def_submodule("training", "Kernels that train sparse networks.");
  module.def("available", &ss::training_available,
             "Whether this processor has the kernels (AVX-512 with BF16).");
  module.def("kernel_set", &ss::training_kernel_set, nb::rv_policy::copy,
             "The instruction set of the kernels in use, None where there are none.");
  module.def("to_lanes", &ss::call_to_lanes<float>, "x"_a.noconvert(), "column"_a,
             "out"_a.noconvert());
  module.def("to_lanes", &ss::call_to_lanes<std::int16_t>, "x"_a.noconvert(), "column"_a,
             "out"_a.noconvert());
  module.def("from_lanes", &ss::call_from_lanes, "x"_a.noconvert(), "column"_a,
             "out"_a.noconvert());
  module.def("rows_to_lanes", &ss::call_rows_to_lanes, "rows"_a.noconvert(),
             "lengths"_a.noconvert(), "out"_a.noconvert());
  module.def("lanes_to_rows", &ss::call_lanes_to_rows, "x"_a.noconvert(), "lengths"_a.noconvert(),
             "out"_a.noconvert());
  module.def("sparse_product", &ss::call_sparse_product, "matrix"_a, "bias"_a.none(),
             "x"_a.noconvert(), "bfloat16"_a, "add"_a, "out"_a.noconvert());
  module.def("sparse_gradient", &ss::call_sparse_gradient, "first"_a, "columns"_a,
             "gradient"_a.noconvert(), "x"_a.noconvert(), "bfloat16"_a, "out"_a.noconvert());
  module.def("lstm_forward", &ss::call_lstm_forward, "lengths"_a, "reverse"_a, "recurrent"_a,
             "bias"_a, "rounding"_a, "bfloat16"_a, "gates"_a.noconvert(), "cell"_a.noconvert(),
             "hidden"_a.noconvert());
  module.def("lstm_backward", &ss::call_lstm_backward, "lengths"_a, "reverse"_a, "transposed"_a,
             "rounding"_a, "bfloat16"_a, "grad_hidden"_a.noconvert(), "cell"_a.noconvert(),
             "gates"_a.noconvert(), "grad_bias"_a.noconvert());
}
