#include "lstm_layer.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "lstm_execution.h"
#include "lstm_workspace.h"
#include "ordered_model.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kGates = 4;

std::size_t cells_of(const LstmDirectionModel& model) { return model.input.rows / kGates; }

// The unit that stands at a place of the output.
std::size_t unit_at(const LstmDirectionModel& model, std::size_t place) {
  return model.unit_at.empty() ? place : model.unit_at[place];
}

std::vector<std::size_t> places_of_units(const LstmDirectionModel& model) {
  std::vector<std::size_t> places(cells_of(model));
  for (std::size_t place = 0; place < places.size(); ++place) places[unit_at(model, place)] = place;
  return places;
}

std::vector<std::uint16_t> destinations(const LstmDirectionModel& model,
                                        std::span<const std::uint32_t> row_of_slot,
                                        std::size_t first_unit, std::size_t stride) {
  if (kGates * stride + kSlotMultiple > std::numeric_limits<std::uint16_t>::max()) {
    throw std::length_error("an LSTM has too many cells for one thread");
  }
  const std::vector<std::size_t> place_of = places_of_units(model);
  const std::size_t cells = cells_of(model);
  std::vector<std::uint16_t> destination;
  std::size_t empty = kGates * stride;
  for (const std::uint32_t row : row_of_slot) {
    const std::size_t place =
        row == kEmptySlot ? empty++ : row / cells * stride + place_of[row % cells] - first_unit;
    destination.push_back(static_cast<std::uint16_t>(place));
  }
  return destination;
}

std::optional<ProjectionPart> pack_projection(const LstmDirectionModel& model, std::size_t part,
                                              std::size_t parts, const Packing& packing) {
  if (!model.projection) return std::nullopt;
  const IntegerMatrix& weights = model.projection->weights;
  const std::size_t first = first_of_part(weights.rows, part, parts);
  const std::size_t last = first_of_part(weights.rows, part + 1, parts);
  // In their own order: the outputs of a step follow each other.
  std::vector<std::uint32_t> rows(round_up(last - first, kSlotMultiple), kEmptySlot);
  std::iota(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(last - first),
            static_cast<std::uint32_t>(first));
  return ProjectionPart{.first_row = first,
                        .rows = last - first,
                        .weights = PackedMatrix(weights, rows, packing, packing.dense_product_from),
                        .rescale = RescaleTable(model.projection->requantize, rows)};
}

// `rows` are the part's slots.
LstmPart pack_part(const LstmDirectionModel& model, const Packing& packing, std::size_t part,
                   std::size_t parts, std::size_t first_slot, std::span<const std::uint32_t> rows) {
  const std::size_t first = first_of_part(cells_of(model), part, parts);
  const std::size_t last = first_of_part(cells_of(model), part + 1, parts);
  return {.first_unit = first,
          .units = last - first,
          .first_slot = first_slot,
          .input = PackedMatrix(model.input, rows, packing, packing.dense_tile_from),
          .input_rescale = RescaleTable(model.input_requantize, rows),
          .recurrent = PackedMatrix(model.recurrent, rows, packing, packing.dense_product_from),
          .recurrent_rescale = RescaleTable(model.recurrent_requantize, rows),
          .destination = destinations(model, rows, first, round_up(last - first, kLanes)),
          .projection = pack_projection(model, part, parts, packing)};
}

// Peephole weights [3][H] in the order of the places.
std::vector<std::int16_t> ordered_peephole(const LstmDirectionModel& model) {
  const std::size_t cells = cells_of(model);
  std::vector<std::int16_t> weights;
  for (std::size_t first = 0; first < model.peephole->weights.size(); first += cells) {
    for (std::size_t place = 0; place < cells; ++place) {
      weights.push_back(model.peephole->weights[first + unit_at(model, place)]);
    }
  }
  return weights;
}

LstmDirection pack_direction(const std::string& name, const LstmDirectionModel& model,
                             const Packing& packing, std::size_t parts) {
  LstmDirection direction{
      .cells = cells_of(model), .outputs = model.recurrent.columns, .slots = 0, .parts = {}};
  const std::vector<std::uint32_t>* order = find_order(packing.orders, name + ".recurrent");
  for (const std::vector<std::uint32_t>& rows : lstm_part_rows(model, parts)) {
    const std::vector<std::uint32_t> slots =
        order_rows(model.recurrent, rows, order, direction.slots);
    direction.parts.push_back(
        pack_part(model, packing, direction.parts.size(), parts, direction.slots, slots));
    direction.slots += slots.size();
  }
  if (model.projection) {
    direction.projection_clamp = {.zero_point = model.projection->zero_point};
    direction.initial_output = static_cast<std::uint8_t>(model.projection->zero_point);
  }
  if (model.peephole) {
    direction.peephole = ordered_peephole(model);
    direction.peephole_rescale.emplace(model.peephole->requantize, rows_in_order(1));
  }
  return direction;
}

std::vector<MatrixReport> reports_of(const std::string& name, const LstmDirection& direction) {
  std::vector<MatrixReport> reports;
  for (const LstmPart& part : direction.parts) {
    reports.push_back(part.input.report(name + ".input"));
    reports.push_back(part.recurrent.report(name + ".recurrent"));
    if (part.projection) reports.push_back(part.projection->weights.report(name + ".projection"));
  }
  return reports;
}

}  // namespace

std::vector<std::vector<std::uint32_t>> lstm_part_rows(const LstmDirectionModel& model,
                                                       std::size_t parts) {
  const std::size_t cells = cells_of(model);
  std::vector<std::vector<std::uint32_t>> part_rows(parts);
  for (std::size_t part = 0; part < parts; ++part) {
    for (std::size_t gate = 0; gate < kGates; ++gate) {
      for (std::size_t place = first_of_part(cells, part, parts);
           place < first_of_part(cells, part + 1, parts); ++place) {
        part_rows[part].push_back(static_cast<std::uint32_t>(gate * cells + unit_at(model, place)));
      }
    }
  }
  return part_rows;
}

std::size_t LstmDirection::bytes() const {
  std::size_t sum = peephole.size() * sizeof(std::int16_t);
  for (const LstmPart& part : parts) {
    sum += part.input.bytes() + part.input_rescale.bytes();
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
  for (std::size_t d = 0; d < model.directions.size(); ++d) {
    const std::string name = direction_name(model, d);
    directions_.push_back(pack_direction(name, model.directions[d], packing, parts));
    for (MatrixReport& report : reports_of(name, directions_.back())) {
      reports_.push_back(std::move(report));
    }
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

void LstmLayer::run_each(const Vectors& input, std::span<const FrameRange> utterances,
                         const Kernels& kernels, ThreadPool& pool, Vectors& output) {
  workspace_->reserve(directions_, pool.threads(), input.frames(), input.values(), false);
  const LstmExecution execution{
      directions_, {sigmoid_base_, sigmoid_slope_}, kernels, pool, *workspace_};
  for (const FrameRange& utterance : utterances) run_utterance(execution, input, utterance);
  output.reshape(input.frames(), execution.output_values());
  std::copy_n(workspace_->outputs.data(), input.frames() * execution.output_values(),
              output.frame(0).data());
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

}  // namespace sparsespeech
