// Up to 64 utterances through an LSTM layer together: at each step the input and the recurrent
// matrix meet a tile of all utterances that still run.

#include <algorithm>
#include <deque>
#include <vector>

#include "lstm_execution.h"

namespace sparsespeech {
namespace {

struct alignas(kCacheLineBytes) Accumulators {
  std::int32_t values[kRowsOfBlock * kTileColumns];
};

class GroupRun {
 public:
  GroupRun(const LstmExecution& execution, std::size_t input_values,
           std::span<const FrameRange> utterances)
      : execution_(execution),
        input_values_(input_values),
        utterances_(utterances),
        teams_(execution.directions.size(), execution.pool.threads()) {
    for (std::size_t d = 0; d < execution.directions.size(); ++d) {
      team_barriers_.emplace_back(teams_.size());
      for (std::size_t n = 0; n < utterances.size(); ++n) prepare(d, n);
    }
  }

  void run() {
    const std::size_t steps = utterances_.empty() ? 0 : utterances_[0].count;
    execution_.pool.run([this, steps](std::size_t thread) {
      for (std::size_t d = 0; d < execution_.directions.size(); ++d) {
        const std::size_t member = teams_.member(thread, d);
        if (member == teams_.size()) continue;
        std::size_t running = utterances_.size();
        for (std::size_t step = 0; step < steps; ++step) {
          while (utterances_[running - 1].count <= step) --running;
          step_all(d, step, running, thread, member);
        }
      }
    });
    for (std::size_t n = 0; n < utterances_.size(); ++n) keep_state(n);
  }

 private:
  void prepare(std::size_t d, std::size_t n) {
    DirectionBuffers& buffers = execution_.workspace.directions[d];
    const LstmDirection& direction = execution_.directions[d];
    std::int16_t* cell = buffers.cell.data() + n * direction.cells;
    std::uint8_t* output = buffers.first.data() + n * direction.outputs;
    if (const LstmState* state = utterances_[n].state; state != nullptr) {
      std::copy(state->cell.begin(), state->cell.end(), cell);
      std::copy(state->output.begin(), state->output.end(), output);
    } else {
      std::fill_n(cell, direction.cells, std::int16_t{0});
      std::fill_n(output, direction.outputs, direction.initial_output);
    }
  }

  void keep_state(std::size_t n) {
    const FrameRange& utterance = utterances_[n];
    if (utterance.state == nullptr || utterance.count == 0) return;
    const LstmDirection& direction = execution_.directions[0];
    std::copy_n(execution_.workspace.directions[0].cell.data() + n * direction.cells,
                direction.cells, utterance.state->cell.data());
    std::copy_n(execution_.output(utterance.first + utterance.count - 1, 0), direction.outputs,
                utterance.state->output.data());
  }

  // Frame of utterance n at `step` in the direction's order (R12), among all frames.
  std::size_t frame(std::size_t d, std::size_t n, std::size_t step) const {
    const FrameRange& utterance = utterances_[n];
    return utterance.first + (d == 0 ? step : utterance.count - 1 - step);
  }

  const std::uint8_t* previous_output(std::size_t d, std::size_t n, std::size_t step) const {
    if (step > 0) return execution_.output(frame(d, n, step - 1), d);
    return execution_.workspace.directions[d].first.data() + n * execution_.directions[d].outputs;
  }

  void step_all(std::size_t d, std::size_t step, std::size_t running, std::size_t thread,
                std::size_t member) {
    const LstmDirection& direction = execution_.directions[d];
    DirectionBuffers& shared = execution_.workspace.directions[d];
    fill(shared.input_tile.data(), input_values_, running, member, [&](std::size_t n) {
      return execution_.workspace.inputs.data() + frame(d, n, step) * input_values_;
    });
    fill(shared.output_tile.data(), direction.outputs, running, member,
         [&](std::size_t n) { return previous_output(d, n, step); });
    team_barriers_[d].wait();
    const bool has_part = member < direction.parts.size();
    ThreadBuffers& own = execution_.workspace.threads[thread];
    if (has_part) step_gates(d, step, running, own, direction.parts[member]);
    team_barriers_[d].wait();
    if (!direction.parts[0].projection) return;
    fill(shared.unprojected_tile.data(), direction.cells, running, member,
         [&](std::size_t n) { return shared.unprojected.data() + n * direction.cells; });
    team_barriers_[d].wait();
    if (has_part) project(d, step, running, own, direction.parts[member]);
    team_barriers_[d].wait();
  }

  // The member's share of a tile's rows, from vectors of `values`.
  template <typename VectorOf>
  void fill(std::uint8_t* tile, std::size_t values, std::size_t running, std::size_t member,
            VectorOf vector_of) {
    const std::size_t share = round_up((values + teams_.size() - 1) / teams_.size(), kTileColumns);
    const std::size_t first = std::min(member * share, values);
    const std::size_t last = std::min(first + share, values);
    const std::uint8_t* x[kTileColumns];
    for (std::size_t n = 0; n < running; ++n) x[n] = vector_of(n) + first;
    execution_.kernels.fill_tile(x, running, last - first, tile + first * kTileColumns);
  }

  void step_gates(std::size_t d, std::size_t step, std::size_t running, ThreadBuffers& own,
                  const LstmPart& part) {
    const LstmDirection& direction = execution_.directions[d];
    DirectionBuffers& shared = execution_.workspace.directions[d];
    const Kernels& kernels = execution_.kernels;
    Accumulators acc;
    for (std::size_t slot = 0; slot < part.slots(); slot += kRowsOfBlock) {
      const std::size_t row = part.first_slot + slot;
      part.input.tiles().tile_product(kernels, slot, slot + kRowsOfBlock, shared.input_tile.data(),
                                      acc.values);
      kernels.store_gates(acc.values, kRowsOfBlock, part.input_rescale.from(slot), running,
                          direction.slots, shared.stored.data() + row);
      part.recurrent.tiles().tile_product(kernels, slot, slot + kRowsOfBlock,
                                          shared.output_tile.data(), acc.values);
      kernels.transpose_block(acc.values, kRowsOfBlock, part.slots(), own.acc.data() + slot);
    }
    for (std::size_t n = 0; n < running; ++n) {
      kernels.gate_sums(own.acc.data() + n * part.slots(),
                        shared.stored.data() + n * direction.slots + part.first_slot, part.slots(),
                        part.recurrent_rescale.view(), part.destination.data(), own.sums.data());
      std::uint8_t* h = part.projection ? shared.unprojected.data() + n * direction.cells
                                        : execution_.output(frame(d, n, step), d);
      kernels.lstm_cell(own.sums.data(), part.sums_stride(), part.units,
                        peephole_of(direction, part), execution_.table,
                        shared.cell.data() + n * direction.cells + part.first_unit,
                        h + part.first_unit);
    }
  }

  void project(std::size_t d, std::size_t step, std::size_t running, ThreadBuffers& own,
               const LstmPart& part) {
    const LstmDirection& direction = execution_.directions[d];
    const ProjectionPart& projection = *part.projection;
    Accumulators acc;
    for (std::size_t first = 0; first < projection.rows; first += kRowsOfBlock) {
      const std::size_t last = std::min(first + kRowsOfBlock, projection.rows);
      projection.weights.tiles().tile_product(
          execution_.kernels, first, last,
          execution_.workspace.directions[d].unprojected_tile.data(), acc.values);
      std::uint8_t* y[kTileColumns];
      for (std::size_t row = first; row < last; ++row) {
        Rescale rescale = projection.rescale.from(row);
        rescale.stride = 0;  // one pair for the row's 64 columns
        execution_.kernels.requantize(acc.values + (row - first) * kTileColumns, kTileColumns,
                                      rescale, direction.projection_clamp,
                                      own.block.data() + (row - first) * kTileColumns);
      }
      for (std::size_t n = 0; n < running; ++n) {
        y[n] = execution_.output(frame(d, n, step), d) + projection.first_row + first;
      }
      execution_.kernels.drain_tile(own.block.data(), running, last - first, y);
    }
  }

  const LstmExecution& execution_;
  const std::size_t input_values_;
  const std::span<const FrameRange> utterances_;
  const Teams teams_;
  std::deque<Barrier> team_barriers_;
};

}  // namespace

void run_group(const LstmExecution& execution, std::size_t input_values,
               std::span<const FrameRange> utterances) {
  GroupRun(execution, input_values, utterances).run();
}

}  // namespace sparsespeech
