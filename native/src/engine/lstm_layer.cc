#include "lstm_layer.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "lstm_execution.h"
#include "lstm_workspace.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kGates = 4;

// The first of `count` things that part `part` of `parts` owns; parts begin at whole vectors.
std::size_t share(std::size_t count, std::size_t part, std::size_t parts) {
  const std::size_t size = round_up((count + parts - 1) / parts, kLanes);
  return std::min(part * size, count);
}

// The gate rows of units [first, last), those with like counts of nonzeros together, and empty
// slots up to whole bundles.
std::vector<std::uint32_t> order_rows(const IntegerMatrix& recurrent, std::size_t cells,
                                      std::size_t first, std::size_t last) {
  std::vector<std::uint32_t> rows;
  for (std::size_t gate = 0; gate < kGates; ++gate) {
    for (std::size_t unit = first; unit < last; ++unit) {
      rows.push_back(static_cast<std::uint32_t>(gate * cells + unit));
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [&](std::uint32_t a, std::uint32_t b) {
    return recurrent.row_nonzeros(a) > recurrent.row_nonzeros(b);
  });
  rows.resize(round_up(rows.size(), LstmPart::kSlotMultiple), kEmptySlot);
  return rows;
}

std::vector<std::uint16_t> destinations(std::span<const std::uint32_t> row_of_slot,
                                        std::size_t cells, std::size_t first_unit,
                                        std::size_t stride) {
  if (kGates * stride + LstmPart::kSlotMultiple > std::numeric_limits<std::uint16_t>::max()) {
    throw std::length_error("an LSTM has too many cells for one thread");
  }
  std::vector<std::uint16_t> places;
  std::size_t empty = kGates * stride;
  for (const std::uint32_t row : row_of_slot) {
    const std::size_t place =
        row == kEmptySlot ? empty++ : row / cells * stride + row % cells - first_unit;
    places.push_back(static_cast<std::uint16_t>(place));
  }
  return places;
}

std::optional<ProjectionPart> pack_projection(const std::string& name,
                                              const LstmDirectionModel& model, std::size_t part,
                                              std::size_t parts, const Packing& packing) {
  if (!model.projection) return std::nullopt;
  const IntegerMatrix& weights = model.projection->weights;
  const std::size_t first = share(weights.rows, part, parts);
  const std::size_t last = share(weights.rows, part + 1, parts);
  std::vector<std::uint32_t> rows(round_up(last - first, LstmPart::kSlotMultiple), kEmptySlot);
  for (std::size_t row = first; row < last; ++row) {
    rows[row - first] = static_cast<std::uint32_t>(row);
  }
  return ProjectionPart{.first_row = first,
                        .rows = last - first,
                        .weights = RecurrentMatrix(name + ".projection", weights, rows, packing),
                        .rescale = RescaleTable(model.projection->requantize, rows)};
}

LstmDirection pack_direction(const std::string& name, const LstmDirectionModel& model,
                             const Packing& packing, std::size_t parts,
                             std::vector<MatrixReport>& reports) {
  const std::size_t cells = model.input.rows / kGates;
  std::vector<LstmPart> packed;
  std::vector<std::uint32_t> all_rows;
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t first = share(cells, part, parts), last = share(cells, part + 1, parts);
    const std::vector<std::uint32_t> rows = order_rows(model.recurrent, cells, first, last);
    packed.push_back(
        {.first_unit = first,
         .units = last - first,
         .first_slot = all_rows.size(),
         .recurrent = RecurrentMatrix(name + ".recurrent", model.recurrent, rows, packing),
         .recurrent_rescale = RescaleTable(model.recurrent_requantize, rows),
         .destination = destinations(rows, cells, first, round_up(last - first, kLanes)),
         .projection = pack_projection(name, model, part, parts, packing)});
    all_rows.insert(all_rows.end(), rows.begin(), rows.end());
    reports.push_back(packed.back().recurrent.report());
    if (packed.back().projection) reports.push_back(packed.back().projection->weights.report());
  }
  TileMatrix input(model.input, all_rows, density(model.input) >= packing.dense_tile_from);
  reports.push_back({.name = name + ".input",
                     .form = input.dense() ? "dense" : "quad",
                     .rows = model.input.rows,
                     .columns = model.input.columns,
                     .nonzeros = model.input.nonzeros(),
                     .bytes = input.bytes()});
  LstmDirection direction{.cells = cells,
                          .outputs = model.recurrent.columns,
                          .slots = all_rows.size(),
                          .parts = std::move(packed),
                          .input = std::move(input),
                          .input_rescale = RescaleTable(model.input_requantize, all_rows)};
  if (model.projection) {
    direction.projection_clamp = {.zero_point = model.projection->zero_point};
    direction.initial_output = static_cast<std::uint8_t>(model.projection->zero_point);
  }
  if (model.peephole) {
    direction.peephole.assign(model.peephole->weights.begin(), model.peephole->weights.end());
    direction.peephole_rescale.emplace(model.peephole->requantize, rows_in_order(1));
  }
  return direction;
}

}  // namespace

std::size_t LstmDirection::bytes() const {
  std::size_t sum = input.bytes() + input_rescale.bytes() + peephole.size() * sizeof(std::int16_t);
  for (const LstmPart& part : parts) {
    sum += part.recurrent.bytes() + part.recurrent_rescale.bytes();
    sum += part.destination.size() * sizeof(std::uint16_t);
    if (part.projection) sum += part.projection->weights.bytes() + part.projection->rescale.bytes();
  }
  return sum;
}

LstmLayer::LstmLayer(const LstmModel& model, const SigmoidTable& table, const Packing& packing,
                     std::size_t parts)
    : sigmoid_base_(table.base.begin(), table.base.end()),
      sigmoid_slope_(table.slope.begin(), table.slope.end()),
      workspace_(std::make_unique<LstmWorkspace>()) {
  const char* const names[] = {".forward", ".backward"};
  for (std::size_t d = 0; d < model.directions.size(); ++d) {
    directions_.push_back(
        pack_direction(model.name + names[d], model.directions[d], packing, parts, reports_));
  }
}

LstmLayer::~LstmLayer() = default;
LstmLayer::LstmLayer(LstmLayer&&) noexcept = default;

void LstmLayer::run_each(const Tiles& input, std::span<const FrameRange> utterances,
                         const Kernels& kernels, ThreadPool& pool, Tiles& output) {
  workspace_->reserve(directions_, pool.threads(), input.frames(), input.values(), false);
  const LstmExecution execution{
      directions_, {sigmoid_base_, sigmoid_slope_}, kernels, pool, *workspace_};
  for (const FrameRange& utterance : utterances) run_utterance(execution, input, utterance);
  collect_outputs(execution, input.frames(), output);
}

void LstmLayer::run_together(const Tiles& input, std::span<const FrameRange> utterances,
                             const Kernels& kernels, ThreadPool& pool, Tiles& output) {
  workspace_->reserve(directions_, pool.threads(), input.frames(), input.values(), true);
  const LstmExecution execution{
      directions_, {sigmoid_base_, sigmoid_slope_}, kernels, pool, *workspace_};
  spread_inputs(execution, input);
  // Longest first: at each step those that still run are the first ones.
  std::vector<FrameRange> sorted(utterances.begin(), utterances.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const FrameRange& a, const FrameRange& b) { return a.count > b.count; });
  const std::span<const FrameRange> all(sorted);
  for (std::size_t first = 0; first < all.size(); first += kTileColumns) {
    run_group(execution, input.values(),
              all.subspan(first, std::min(kTileColumns, all.size() - first)));
  }
  collect_outputs(execution, input.frames(), output);
}

LstmState LstmLayer::initial_state() const {
  const LstmDirection& forward = directions_[0];
  return {.cell = std::vector<std::int16_t>(forward.cells, 0),
          .output = std::vector<std::uint8_t>(forward.outputs, forward.initial_output)};
}

std::size_t LstmLayer::bytes() const {
  std::size_t sum = 0;
  for (const LstmDirection& direction : directions_) sum += direction.bytes();
  return sum;
}

std::size_t LstmLayer::workspace_bytes() const { return workspace_->bytes(); }

}  // namespace sparsespeech
