#include "sparsespeech/engine.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>
#include <variant>

#include "feed_forward_layer.h"
#include "lstm_layer.h"
#include "model_check.h"
#include "order_search.h"
#include "ordered_model.h"
#include "sparsespeech/amx_agreement.h"
#include "sparsespeech/instruction_sets.h"
#include "sparsespeech/kernels.h"
#include "sparsespeech/thread_pool.h"

namespace sparsespeech {
namespace {

// A product of 64 vectors at once costs as much as about so many vector products.
constexpr std::size_t kTileCost = 20;

// Up to so many frames in all, vector products are faster than a tile product that is mostly
// empty; with kernels that sweep, and with others.
constexpr std::size_t kFewSweptFrames = 16;
constexpr std::size_t kFewFrames = 4;

const Kernels& kernels_of(const std::string& name) {
  const std::vector<std::string> usable = instruction_sets();
  if (std::find(usable.begin(), usable.end(), name) == usable.end()) {
    throw std::invalid_argument("the instruction set " + name + " is not usable here");
  }
#if defined(__x86_64__)
  if (name == "avx2") return avx2_kernels();
  if (name == "avx512") return avx512_kernels();
  // Only where its products agree with those of AVX-512: the tile unit is the rarest of all.
  if (name == "amx") {
    static const bool agrees = amx_agrees_with_avx512();
    return agrees ? amx_kernels() : avx512_kernels();
  }
#endif
  return scalar_kernels();
}

// Densities from which a dense kernel is faster than skipping the zeros (`bench density`).
struct BreakEven {
  double product, tile;
};

BreakEven break_even(const std::string& instruction_set) {
  if (instruction_set == "scalar") return {0.40, 0.87};
  if (instruction_set == "avx2") return {0.19, 0.68};
  return {0.40, 0.33};
}

void check_shape(const SweepShape& shape) {
  constexpr std::size_t kWindows[] = {64, 96, 128, 192, 256}, kGroups[] = {1, 2, 4};
  if (std::ranges::find(kWindows, shape.window) == std::end(kWindows) ||
      std::ranges::find(kGroups, shape.groups) == std::end(kGroups)) {
    throw std::invalid_argument("there is no sweep with this window and number of groups");
  }
}

Packing packing_of(const std::string& layer, const EngineOptions& options,
                   const PackedOrders& orders) {
  const BreakEven measured = break_even(options.instruction_set);
  const Kernels& kernels = kernels_of(options.instruction_set);
  const auto found = options.layers.find(layer);
  const LayerOptions own = found == options.layers.end() ? LayerOptions{} : found->second;
  const std::optional<SweepShape> shape = own.sweep_shape ? own.sweep_shape : options.sweep_shape;
  if (shape) check_shape(*shape);
  return {
      .kernels = kernels,
      .dense_product_from =
          own.dense_product_from.value_or(options.dense_from.value_or(measured.product)),
      .dense_tile_from = own.dense_tile_from.value_or(options.dense_from.value_or(measured.tile)),
      .sweep_shape = shape.value_or(SweepShape{.window = kernels.sweep_window}),
      .choose_sweep_shape = !shape.has_value(),
      .orders = orders};
}

using PackedLayer = std::variant<LinearLayer, LstmLayer, OutputLayer>;

std::size_t parts_of(const LstmModel& model, std::size_t threads) {
  return model.directions.size() == 2 ? std::max<std::size_t>(threads / 2, 1) : threads;
}

PackedLayer pack_layer(const LayerModel& layer, const SigmoidTable& table,
                       const LayerPacking& how) {
  if (const auto* lstm = std::get_if<LstmModel>(&layer)) {
    return LstmLayer(*lstm, table, how.packing, how.parts);
  }
  if (const auto* linear = std::get_if<LinearModel>(&layer)) {
    return LinearLayer(*linear, how.packing, how.parts);
  }
  return OutputLayer(std::get<OutputModel>(layer), how.packing, how.parts);
}

const std::string& name_of(const LayerModel& layer) {
  return std::visit([](const auto& model) -> const std::string& { return model.name; }, layer);
}

std::vector<LayerPacking> packings_of(const IntegerModel& model, const EngineOptions& options,
                                      const PackedOrders& orders) {
  std::vector<LayerPacking> packings;
  std::size_t named = 0;
  for (const LayerModel& layer : model.layers) {
    const auto* lstm = std::get_if<LstmModel>(&layer);
    packings.push_back({packing_of(name_of(layer), options, orders),
                        lstm ? parts_of(*lstm, options.threads) : options.threads});
    named += options.layers.count(name_of(layer));
  }
  if (named != options.layers.size()) {
    throw std::invalid_argument("there are options for a layer that the model does not have");
  }
  return packings;
}

// How a run goes through the layers.
enum class Mode {
  kVectors,   // few frames: one after the other, each matrix meets a vector
  kEach,      // utterances one after the other, in tiles of frames
  kTogether,  // many utterances step by step, in tiles of utterances
};

// Where each input's frames stand among the frames of a run.
struct Layout {
  std::vector<FrameRange> ranges;
  std::vector<std::optional<EngineState>> states;  // copies: a failed run leaves the states alone
  std::size_t frames = 0;
  Mode mode = Mode::kEach;
};

bool same_sizes(const EngineState& a, const EngineState& b) {
  return std::equal(a.layers.begin(), a.layers.end(), b.layers.begin(), b.layers.end(),
                    [](const LstmState& x, const LstmState& y) {
                      return x.cell.size() == y.cell.size() && x.output.size() == y.output.size();
                    });
}

// Whether many utterances run faster step by step than one after the other, in units of one vector
// product of an LSTM's recurrent matrix; its input matrix has about twice the nonzeros.
bool together_pays(std::span<const EngineInput> inputs) {
  std::size_t each = 0, longest = 0;
  for (const EngineInput& input : inputs) {
    const std::size_t tiles = (input.frames + kTileColumns - 1) / kTileColumns;
    each += 2 * kTileCost * tiles + input.frames;
    longest = std::max(longest, input.frames);
  }
  const std::size_t groups = (inputs.size() + kTileColumns - 1) / kTileColumns;
  return each > 4 * kTileCost * longest * groups;  // 3 products, and the way from tiles to units
}

Mode mode_of(std::span<const EngineInput> inputs, const Kernels& kernels) {
  std::size_t frames = 0;
  for (const EngineInput& input : inputs) frames += input.frames;
  if (frames <= (kernels.sweep_product != nullptr ? kFewSweptFrames : kFewFrames)) {
    return Mode::kVectors;
  }
  return together_pays(inputs) ? Mode::kTogether : Mode::kEach;
}

Layout lay_out(std::span<const EngineInput> inputs, const Kernels& kernels) {
  Layout layout;
  layout.mode = mode_of(inputs, kernels);
  for (const EngineInput& input : inputs) {
    if (layout.mode == Mode::kEach) layout.frames = round_up(layout.frames, kTileColumns);
    layout.ranges.push_back({.first = layout.frames, .count = input.frames});
    layout.frames += input.frames;
    layout.states.emplace_back();
    if (input.state != nullptr) layout.states.back() = *input.state;
  }
  return layout;
}

}  // namespace

struct Engine::Parts {
  Parts(const IntegerModel& model, const EngineOptions& options)
      : kernels(kernels_of(options.instruction_set)),
        instruction_set(kernels.name),
        orders(options.orders),
        pool(options.threads) {
    const std::vector<LayerPacking> packings = packings_of(model, options, orders);
    search_unit_orders(model, packings, options.search, pool, orders);
    const OrderedModel ordered(model, orders);
    search_row_orders(ordered.model(), packings, options.search, pool, orders);
    for (std::size_t layer = 0; layer < model.layers.size(); ++layer) {
      layers.push_back(pack_layer(ordered.model().layers[layer], model.sigmoid, packings[layer]));
      names.push_back(name_of(model.layers[layer]));
    }
    inputs = inputs_of(model.layers.front());
    activations.resize(layers.size());
    vectors.resize(layers.size());
  }

  void fill_windows(std::span<const EngineInput> run_inputs, const Layout& layout);
  void give_states(std::size_t layer, Layout& layout) const;
  void run_tiles(std::size_t layer, const Layout& layout);
  void run_vectors(std::size_t layer, const Layout& layout);
  void run_layer(std::size_t layer, Layout& layout);
  void write_logits(std::span<const EngineInput> run_inputs, const Layout& layout) const;

  const Kernels& kernels;
  std::string instruction_set;
  PackedOrders orders;
  std::vector<PackedLayer> layers;
  std::vector<std::string> names;
  std::size_t inputs = 0;
  ThreadPool pool;
  std::vector<Tiles> activations;  // the input of each layer
  std::vector<Vectors> vectors;    // the same where there are few frames
  std::vector<std::int64_t> logits;
};

void Engine::Parts::fill_windows(std::span<const EngineInput> run_inputs, const Layout& layout) {
  if (layout.mode == Mode::kVectors) {
    vectors[0].reshape(layout.frames, inputs);
    for (std::size_t i = 0; i < run_inputs.size(); ++i) {
      if (run_inputs[i].frames == 0) continue;
      std::copy(run_inputs[i].windows.begin(), run_inputs[i].windows.end(),
                vectors[0].frame(layout.ranges[i].first).data());
    }
    return;
  }
  Tiles& tiles = activations[0];
  tiles.reshape(layout.frames, inputs);
  std::vector<const std::uint8_t*> window(round_up(layout.frames, kTileColumns), nullptr);
  for (std::size_t i = 0; i < run_inputs.size(); ++i) {
    for (std::size_t t = 0; t < run_inputs[i].frames; ++t) {
      window[layout.ranges[i].first + t] = run_inputs[i].windows.data() + t * inputs;
    }
  }
  // Frames between two utterances repeat some window: their results are never read.
  const auto some = std::find_if(window.begin(), window.end(), [](auto* x) { return x; });
  std::replace(window.begin(), window.end(), static_cast<const std::uint8_t*>(nullptr), *some);
  WorkCounter counter;
  pool.run([&](std::size_t) {
    for (std::size_t tile = counter.next(); tile < tiles.tiles(); tile = counter.next()) {
      kernels.fill_tile(window.data() + tile * kTileColumns, tiles.columns(tile), inputs,
                        tiles.tile(tile));
    }
  });
}

void Engine::Parts::give_states(std::size_t layer, Layout& layout) const {
  const auto before = static_cast<std::size_t>(
      std::count_if(layers.begin(), layers.begin() + static_cast<std::ptrdiff_t>(layer),
                    [](const auto& other) { return std::holds_alternative<LstmLayer>(other); }));
  for (std::size_t i = 0; i < layout.ranges.size(); ++i) {
    std::optional<EngineState>& state = layout.states[i];
    layout.ranges[i].state = state ? &state->layers[before] : nullptr;
  }
}

void Engine::Parts::run_tiles(std::size_t layer, const Layout& layout) {
  const Tiles& input = activations[layer];
  if (auto* linear = std::get_if<LinearLayer>(&layers[layer])) {
    linear->run(input, kernels, pool, activations[layer + 1]);
  } else if (auto* lstm = std::get_if<LstmLayer>(&layers[layer])) {
    if (layout.mode == Mode::kTogether) {
      lstm->run_together(input, layout.ranges, kernels, pool, activations[layer + 1]);
    } else {
      lstm->run_each(input, layout.ranges, kernels, pool, activations[layer + 1]);
    }
  } else {
    std::get<OutputLayer>(layers[layer]).run(input, kernels, pool, logits.data());
  }
}

void Engine::Parts::run_vectors(std::size_t layer, const Layout& layout) {
  const Vectors& input = vectors[layer];
  if (auto* linear = std::get_if<LinearLayer>(&layers[layer])) {
    linear->run(input, kernels, pool, vectors[layer + 1]);
  } else if (auto* lstm = std::get_if<LstmLayer>(&layers[layer])) {
    lstm->run_each(input, layout.ranges, kernels, pool, vectors[layer + 1]);
  } else {
    std::get<OutputLayer>(layers[layer]).run(input, kernels, pool, logits.data());
  }
}

void Engine::Parts::run_layer(std::size_t layer, Layout& layout) {
  give_states(layer, layout);
  if (layout.mode == Mode::kVectors) {
    run_vectors(layer, layout);
  } else {
    run_tiles(layer, layout);
  }
}

void Engine::Parts::write_logits(std::span<const EngineInput> run_inputs,
                                 const Layout& layout) const {
  const std::size_t labels = std::get<OutputLayer>(layers.back()).labels();
  for (std::size_t i = 0; i < run_inputs.size(); ++i) {
    const std::int64_t* first = logits.data() + layout.ranges[i].first * labels;
    std::copy_n(first, run_inputs[i].frames * labels, run_inputs[i].logits.data());
  }
}

Engine::Engine(const IntegerModel& model, const EngineOptions& options) {
  if (options.threads == 0) throw std::invalid_argument("an engine needs at least one thread");
  check_model(model);
  parts_ = std::make_unique<Parts>(model, options);
}

Engine::~Engine() {
  // Memory that is lost in a forked child, instead of a wait for ever.
  if (parts_ != nullptr && parts_->pool.forked()) static_cast<void>(parts_.release());
}

void Engine::check_process() const { parts_->pool.check_process(); }

std::vector<double> Engine::run(std::span<const EngineInput> inputs) {
  Parts& parts = *parts_;
  check_process();
  for (const EngineInput& input : inputs) {
    if (input.windows.size() != input.frames * parts.inputs ||
        input.logits.size() != input.frames * labels()) {
      throw std::invalid_argument("windows or logits have the wrong size");
    }
    if (input.state != nullptr && !same_sizes(*input.state, initial_state())) {
      throw std::invalid_argument("a state does not belong to this model");
    }
  }
  std::vector<double> seconds(parts.layers.size(), 0.0);
  Layout layout = lay_out(inputs, parts.kernels);
  if (layout.frames == 0) return seconds;
  parts.logits.resize(layout.frames * labels());
  auto last = std::chrono::steady_clock::now();
  parts.fill_windows(inputs, layout);
  for (std::size_t layer = 0; layer < parts.layers.size(); ++layer) {
    parts.run_layer(layer, layout);
    const auto now = std::chrono::steady_clock::now();
    seconds[layer] = std::chrono::duration<double>(now - last).count();
    last = now;
  }
  parts.write_logits(inputs, layout);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (layout.states[i]) *inputs[i].state = std::move(*layout.states[i]);
  }
  return seconds;
}

EngineState Engine::initial_state() const {
  EngineState state;
  for (const PackedLayer& layer : parts_->layers) {
    if (const auto* lstm = std::get_if<LstmLayer>(&layer)) {
      if (lstm->bidirectional()) {
        throw std::invalid_argument("a bidirectional model has no state between two frames");
      }
      state.layers.push_back(lstm->initial_state());
    }
  }
  return state;
}

std::size_t Engine::inputs() const { return parts_->inputs; }
std::size_t Engine::labels() const { return std::get<OutputLayer>(parts_->layers.back()).labels(); }
std::size_t Engine::threads() const { return parts_->pool.threads(); }
const std::string& Engine::instruction_set() const { return parts_->instruction_set; }
std::vector<std::string> Engine::layer_names() const { return parts_->names; }
const PackedOrders& Engine::orders() const { return parts_->orders; }

std::size_t Engine::packed_bytes() const {
  std::size_t sum = 0;
  for (const PackedLayer& layer : parts_->layers) {
    sum += std::visit([](const auto& packed) { return packed.bytes(); }, layer);
  }
  return sum;
}

std::vector<MatrixReport> Engine::matrices() const {
  std::vector<MatrixReport> reports;
  for (const PackedLayer& layer : parts_->layers) {
    for (MatrixReport& report :
         std::visit([](const auto& packed) { return packed.reports(); }, layer)) {
      reports.push_back(std::move(report));
    }
  }
  return reports;
}

}  // namespace sparsespeech
