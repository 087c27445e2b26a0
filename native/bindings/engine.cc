// sparsespeech._native.engine: the CPU engine as Python sees it.
//
// Axes: T frames, W inputs of one window, V labels.

#include "sparsespeech/engine.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nb = nanobind;

namespace sparsespeech {
namespace {

template <typename T>
using Array = nb::ndarray<const T, nb::numpy, nb::c_contig, nb::device::cpu>;
using Windows =
    nb::ndarray<const std::uint8_t, nb::numpy, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Logits = nb::ndarray<std::int64_t, nb::numpy, nb::ndim<2>>;

template <typename T>
std::span<const T> span_of(const nb::handle& object) {
  const auto array = nb::cast<Array<T>>(object, false);  // without a conversion there is no copy
  return {array.data(), array.size()};
}

IntegerMatrix matrix_from(const nb::dict& dict) {
  return {.rows = nb::cast<std::size_t>(dict["rows"]),
          .columns = nb::cast<std::size_t>(dict["columns"]),
          .row_start = span_of<std::int64_t>(dict["row_start"]),
          .column = span_of<std::int32_t>(dict["column"]),
          .value = span_of<std::int8_t>(dict["value"]),
          .bias = span_of<std::int64_t>(dict["bias"])};
}

Requantizer requantizer_from(const nb::dict& dict, const std::string& prefix) {
  return {.multiplier = span_of<std::int64_t>(dict[(prefix + "multiplier").c_str()]),
          .shift = span_of<std::int64_t>(dict[(prefix + "shift").c_str()])};
}

LstmDirectionModel direction_from(const nb::dict& dict) {
  LstmDirectionModel model{.input = matrix_from(nb::cast<nb::dict>(dict["input"])),
                           .recurrent = matrix_from(nb::cast<nb::dict>(dict["recurrent"])),
                           .input_requantize = requantizer_from(dict, "input_"),
                           .recurrent_requantize = requantizer_from(dict, "recurrent_")};
  if (dict.contains("peephole")) {
    const auto peephole = nb::cast<nb::dict>(dict["peephole"]);
    model.peephole = PeepholeModel{.weights = span_of<std::int16_t>(peephole["weights"]),
                                   .requantize = requantizer_from(peephole, "")};
  }
  if (dict.contains("projection")) {
    const auto projection = nb::cast<nb::dict>(dict["projection"]);
    model.projection =
        ProjectionModel{.weights = matrix_from(nb::cast<nb::dict>(projection["weights"])),
                        .requantize = requantizer_from(projection, ""),
                        .zero_point = nb::cast<int>(projection["zero_point"])};
  }
  return model;
}

LayerModel layer_from(const nb::dict& dict) {
  const auto kind = nb::cast<std::string>(dict["kind"]);
  const auto name = nb::cast<std::string>(dict["name"]);
  if (kind == "lstm") {
    LstmModel model{.name = name, .directions = {}};
    for (const nb::handle direction : nb::cast<nb::list>(dict["directions"])) {
      model.directions.push_back(direction_from(nb::cast<nb::dict>(direction)));
    }
    return model;
  }
  const IntegerMatrix weights = matrix_from(nb::cast<nb::dict>(dict["weights"]));
  if (kind == "output") return OutputModel{.name = name, .weights = weights};
  if (kind != "linear") throw nb::value_error("a layer's kind must be linear, lstm or output");
  return LinearModel{.name = name,
                     .weights = weights,
                     .requantize = requantizer_from(dict, ""),
                     .zero_point = nb::cast<int>(dict["zero_point"]),
                     .low = nb::cast<int>(dict["low"]),
                     .high = nb::cast<int>(dict["high"])};
}

SweepShape shape_from(const nb::dict& dict) {
  return {nb::cast<std::size_t>(dict["sweep_window"]), nb::cast<std::size_t>(dict["sweep_groups"])};
}

LayerOptions layer_options_from(const nb::dict& dict) {
  LayerOptions options;
  if (dict.contains("sweep_window")) options.sweep_shape = shape_from(dict);
  if (dict.contains("dense_product_from")) {
    options.dense_product_from = nb::cast<double>(dict["dense_product_from"]);
  }
  if (dict.contains("dense_tile_from")) {
    options.dense_tile_from = nb::cast<double>(dict["dense_tile_from"]);
  }
  return options;
}

std::map<std::string, std::vector<std::uint32_t>> orders_from(const nb::dict& dict,
                                                              const char* name) {
  std::map<std::string, std::vector<std::uint32_t>> orders;
  if (!dict.contains(name)) return orders;
  for (const auto& [key, value] : nb::cast<nb::dict>(dict[name])) {
    const std::span<const std::uint32_t> order = span_of<std::uint32_t>(value);
    orders[nb::cast<std::string>(key)].assign(order.begin(), order.end());
  }
  return orders;
}

void set_search(const nb::dict& dict, OrderSearch& search) {
  if (dict.contains("column_rounds")) {
    search.column_rounds = nb::cast<std::size_t>(dict["column_rounds"]);
  }
  if (dict.contains("swaps_per_row")) {
    search.swaps_per_row = nb::cast<std::size_t>(dict["swaps_per_row"]);
  }
  if (dict.contains("most_swaps")) search.most_swaps = nb::cast<std::size_t>(dict["most_swaps"]);
  if (dict.contains("reach")) search.reach = nb::cast<std::size_t>(dict["reach"]);
  if (dict.contains("every_matrix")) search.every_matrix = nb::cast<bool>(dict["every_matrix"]);
  if (dict.contains("seed")) search.seed = nb::cast<std::uint64_t>(dict["seed"]);
}

EngineOptions options_from(const std::string& instruction_set, std::size_t threads,
                           const nb::dict& dict) {
  EngineOptions options{.instruction_set = instruction_set, .threads = threads};
  if (dict.contains("dense_from")) options.dense_from = nb::cast<double>(dict["dense_from"]);
  if (dict.contains("sweep_window")) {
    options.sweep_shape = shape_from(dict);
  }
  if (dict.contains("layers")) {
    for (const auto& [name, choices] : nb::cast<nb::dict>(dict["layers"])) {
      options.layers[nb::cast<std::string>(name)] = layer_options_from(nb::cast<nb::dict>(choices));
    }
  }
  options.orders = {orders_from(dict, "unit_orders"), orders_from(dict, "row_orders")};
  if (dict.contains("search")) set_search(nb::cast<nb::dict>(dict["search"]), options.search);
  return options;
}

// An engine and the lock that makes calls from several Python threads wait for each other.
class PythonEngine {
 public:
  PythonEngine(const nb::list& layers, const Array<std::int16_t>& base,
               const Array<std::int16_t>& slope, const std::string& instruction_set,
               std::size_t threads, const nb::dict& options) {
    IntegerModel model;
    for (const nb::handle layer : layers) {
      model.layers.push_back(layer_from(nb::cast<nb::dict>(layer)));
    }
    model.sigmoid = {{base.data(), base.size()}, {slope.data(), slope.size()}};
    const EngineOptions chosen = options_from(instruction_set, threads, options);
    const nb::gil_scoped_release released;
    engine_.emplace(model, chosen);
  }

  std::pair<std::vector<Logits>, std::vector<double>> run(const std::vector<Windows>& windows,
                                                          const std::vector<EngineState*>& states) {
    if (states.size() != windows.size()) {
      throw nb::value_error("there must be as many states as windows");
    }
    std::vector<Logits> logits;
    std::vector<EngineInput> inputs;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      if (windows[i].shape(1) != engine_->inputs()) {
        throw nb::value_error("windows have the wrong number of inputs");
      }
      const std::size_t frames = windows[i].shape(0), size = frames * engine_->labels();
      auto* data = new std::int64_t[size];
      const nb::capsule owner(data,
                              [](void* p) noexcept { delete[] static_cast<std::int64_t*>(p); });
      logits.emplace_back(data, std::initializer_list<std::size_t>{frames, engine_->labels()},
                          owner);
      inputs.push_back({.windows = {windows[i].data(), windows[i].size()},
                        .frames = frames,
                        .state = states[i],
                        .logits = {data, size}});
    }
    std::vector<double> seconds;
    {
      const nb::gil_scoped_release released;
      engine_->check_process();  // before the lock, which another thread may have held at the fork
      const std::lock_guard lock(mutex_);
      seconds = engine_->run(inputs);
    }
    return {std::move(logits), std::move(seconds)};
  }

  const Engine& engine() const { return *engine_; }

 private:
  std::optional<Engine> engine_;
  std::mutex mutex_;
};

nb::dict orders_to_python(const std::map<std::string, std::vector<std::uint32_t>>& orders) {
  nb::dict dict;
  for (const auto& [name, order] : orders) {
    auto copy = std::make_unique<std::vector<std::uint32_t>>(order);
    std::uint32_t* data = copy->data();
    const nb::capsule owner(copy.release(), [](void* p) noexcept {
      delete static_cast<std::vector<std::uint32_t>*>(p);
    });
    dict[name.c_str()] = nb::ndarray<std::uint32_t, nb::numpy>(data, {order.size()}, owner);
  }
  return dict;
}

nb::dict unit_orders(const PythonEngine& python) {
  return orders_to_python(python.engine().orders().units);
}

nb::dict row_orders(const PythonEngine& python) {
  return orders_to_python(python.engine().orders().rows);
}

nb::list matrix_report(const PythonEngine& python) {
  nb::list list;
  for (const MatrixReport& report : python.engine().matrices()) {
    nb::dict dict;
    dict["name"] = report.name;
    dict["form"] = report.form;
    dict["rows"] = report.rows;
    dict["columns"] = report.columns;
    dict["nonzeros"] = report.nonzeros;
    dict["bytes"] = report.bytes;
    dict["slots_per_nonzero"] = report.slots_per_nonzero;
    list.append(dict);
  }
  return list;
}

}  // namespace

}  // namespace sparsespeech

void bind_engine(nb::module_& module) {
  using sparsespeech::Array;
  using sparsespeech::EngineState;
  using sparsespeech::matrix_report;
  using sparsespeech::PythonEngine;
  using sparsespeech::row_orders;
  using sparsespeech::unit_orders;
  nb::module_ engine = module.def_submodule("engine", "The CPU engine.");
  nb::class_<EngineState>(engine, "State", "What a unidirectional model keeps between two frames.")
      .def_prop_ro("bytes", &EngineState::bytes);
  nb::class_<PythonEngine>(engine, "Engine", "An integer model packed for this processor.")
      .def(nb::init<const nb::list&, const Array<std::int16_t>&, const Array<std::int16_t>&,
                    const std::string&, std::size_t, const nb::dict&>(),
           nb::arg("layers"), nb::arg("sigmoid_base"), nb::arg("sigmoid_slope"),
           nb::arg("instruction_set"), nb::arg("threads"), nb::arg("options") = nb::dict(),
           "Pack layers given as dictionaries; see sparsespeech.cpu_engine.engine.")
      .def("run", &PythonEngine::run, nb::arg("windows"), nb::arg("states"),
           "Logits int64[T, V] of each uint8[T, W], and the seconds of each layer. A state (or\n"
           "None) belongs to each input; it is carried on.")
      .def("new_state", [](const PythonEngine& python) { return python.engine().initial_state(); })
      .def_prop_ro("inputs", [](const PythonEngine& python) { return python.engine().inputs(); })
      .def_prop_ro("labels", [](const PythonEngine& python) { return python.engine().labels(); })
      .def_prop_ro("packed_bytes",
                   [](const PythonEngine& python) { return python.engine().packed_bytes(); })
      .def_prop_ro("threads", [](const PythonEngine& python) { return python.engine().threads(); })
      .def_prop_ro("instruction_set",
                   [](const PythonEngine& python) { return python.engine().instruction_set(); })
      .def_prop_ro("layer_names",
                   [](const PythonEngine& python) { return python.engine().layer_names(); })
      .def_prop_ro("matrix_report", &matrix_report)
      .def_prop_ro("unit_orders", &unit_orders,
                   "By LSTM direction, the unit at each place: uint32[H].")
      .def_prop_ro("row_orders", &row_orders,
                   "By matrix, the row of each slot, 2^32 - 1 for none: uint32[S].");
}
