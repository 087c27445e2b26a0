// One utterance through an LSTM layer: a recurrent product a step and direction.

#include <algorithm>
#include <deque>
#include <vector>

#include "lstm_execution.h"

namespace sparsespeech {
namespace {

struct alignas(kCacheLineBytes) Accumulators {
  std::int32_t values[kRowsOfBlock * kTileColumns];
};

class UtteranceRun {
 public:
  UtteranceRun(const LstmExecution& execution, const FrameRange& utterance)
      : execution_(execution),
        utterance_(utterance),
        tiles_((utterance.count + kTileColumns - 1) / kTileColumns),
        teams_(execution.directions.size(), execution.pool.threads()),
        all_(execution.pool.threads()),
        counters_(tiles_) {
    for (std::size_t d = 0; d < execution.directions.size(); ++d) {
      team_barriers_.emplace_back(teams_.size());
      prepare(d);
    }
    list_blocks();
  }

  void run(const Tiles& input) {
    execution_.pool.run([&](std::size_t thread) {
      for (std::size_t round = 0; round < tiles_; ++round) {
        store_gates(input, round);
        all_.wait();
        for (std::size_t d = 0; d < execution_.directions.size(); ++d) {
          const std::size_t member = teams_.member(thread, d);
          if (member < teams_.size()) step_through_tile(d, tile_of(d, round), thread, member);
        }
        all_.wait();  // before the stored gates are overwritten
      }
    });
    keep_state();
  }

  void run(const Vectors& input) {
    execution_.pool.run([&](std::size_t thread) {
      for (std::size_t d = 0; d < execution_.directions.size(); ++d) {
        const std::size_t member = teams_.member(thread, d);
        if (member == teams_.size()) continue;
        if (member < execution_.directions[d].parts.size()) {
          store_own_gates(input, d, execution_.workspace.threads[thread],
                          execution_.directions[d].parts[member]);
        }
        step_through_tile(d, 0, thread, member);
      }
    });
    keep_state();
  }

 private:
  struct Block {
    std::size_t direction, part, slot;
  };

  void list_blocks() {
    for (std::size_t d = 0; d < execution_.directions.size(); ++d) {
      const std::vector<LstmPart>& parts = execution_.directions[d].parts;
      for (std::size_t part = 0; part < parts.size(); ++part) {
        for (std::size_t slot = 0; slot < parts[part].slots(); slot += kRowsOfBlock) {
          blocks_.push_back({d, part, slot});
        }
      }
    }
  }

  // The backward direction goes through tiles and frames from the end (R12).
  std::size_t tile_of(std::size_t d, std::size_t round) const {
    return d == 0 ? round : tiles_ - 1 - round;
  }

  std::size_t frames_of(std::size_t tile) const {
    return std::min(kTileColumns, utterance_.count - tile * kTileColumns);
  }

  void prepare(std::size_t d) {
    DirectionBuffers& buffers = execution_.workspace.directions[d];
    const LstmDirection& direction = execution_.directions[d];
    if (utterance_.state != nullptr) {
      std::copy(utterance_.state->cell.begin(), utterance_.state->cell.end(), buffers.cell.data());
      std::copy(utterance_.state->output.begin(), utterance_.state->output.end(),
                buffers.first.data());
    } else {
      std::fill_n(buffers.cell.data(), direction.cells, std::int16_t{0});
      std::fill_n(buffers.first.data(), direction.outputs, direction.initial_output);
    }
  }

  void keep_state() {
    if (utterance_.state == nullptr || utterance_.count == 0) return;
    const LstmDirection& direction = execution_.directions[0];
    const DirectionBuffers& buffers = execution_.workspace.directions[0];
    const std::uint8_t* last = execution_.output(utterance_.first + utterance_.count - 1, 0);
    std::copy_n(buffers.cell.data(), direction.cells, utterance_.state->cell.data());
    std::copy_n(last, direction.outputs, utterance_.state->output.data());
  }

  // R5's stored input parts of one tile a direction, shared out among all threads.
  void store_gates(const Tiles& input, std::size_t round) {
    Accumulators acc;
    WorkCounter& counter = counters_[round];
    for (std::size_t item = counter.next(); item < blocks_.size(); item = counter.next()) {
      const auto [d, number, slot] = blocks_[item];
      const LstmDirection& direction = execution_.directions[d];
      const LstmPart& part = direction.parts[number];
      const std::size_t tile = tile_of(d, round);
      part.input.tiles().tile_product(execution_.kernels, slot, slot + kRowsOfBlock,
                                      input.tile(utterance_.first / kTileColumns + tile),
                                      acc.values);
      execution_.kernels.store_gates(
          acc.values, kRowsOfBlock, part.input_rescale.from(slot), frames_of(tile), direction.slots,
          execution_.workspace.directions[d].stored.data() + part.first_slot + slot);
    }
  }

  // The same for one part, a frame at a time.
  void store_own_gates(const Vectors& input, std::size_t d, ThreadBuffers& own,
                       const LstmPart& part) {
    for (std::size_t frame = 0; frame < utterance_.count; ++frame) {
      part.input.load(input.frame(utterance_.first + frame), own.loaded_input.data());
      part.input.gate_sums(execution_.kernels, frame, own.loaded_input.data(), own.zeros.data(),
                           part.input_rescale.view(), own.in_order.data(), own.acc.data(),
                           own.sums.data());
      std::int16_t* stored = execution_.workspace.directions[d].stored.data() +
                             frame * execution_.directions[d].slots + part.first_slot;
      for (std::size_t slot = 0; slot < part.slots(); ++slot) {
        stored[slot] = static_cast<std::int16_t>(std::clamp(own.sums[slot], -32768, 32767));
      }
    }
  }

  void step_through_tile(std::size_t d, std::size_t tile, std::size_t thread, std::size_t member) {
    const std::size_t frames = frames_of(tile);
    for (std::size_t step = 0; step < frames; ++step) {
      const std::size_t column = d == 0 ? step : frames - 1 - step;
      step_one(d, tile * kTileColumns + column, column, thread, member);
    }
  }

  // The output before local frame `frame` in the direction's order.
  const std::uint8_t* previous_output(std::size_t d, std::size_t frame) const {
    const bool first = d == 0 ? frame == 0 : frame + 1 == utterance_.count;
    if (first) return execution_.workspace.directions[d].first.data();
    return execution_.output(utterance_.first + (d == 0 ? frame - 1 : frame + 1), d);
  }

  void step_one(std::size_t d, std::size_t frame, std::size_t column, std::size_t thread,
                std::size_t member) {
    const LstmDirection& direction = execution_.directions[d];
    if (member < direction.parts.size()) {
      step_gates(d, frame, column, execution_.workspace.threads[thread], direction.parts[member]);
    }
    team_barriers_[d].wait();
    if (!direction.parts[0].projection) return;
    if (member < direction.parts.size()) {
      project(d, frame, execution_.workspace.threads[thread], direction.parts[member]);
    }
    team_barriers_[d].wait();
  }

  void step_gates(std::size_t d, std::size_t frame, std::size_t column, ThreadBuffers& own,
                  const LstmPart& part) {
    const LstmDirection& direction = execution_.directions[d];
    DirectionBuffers& shared = execution_.workspace.directions[d];
    part.recurrent.load({previous_output(d, frame), direction.outputs}, own.loaded.data());
    part.recurrent.gate_sums(execution_.kernels, frame, own.loaded.data(),
                             shared.stored.data() + column * direction.slots + part.first_slot,
                             part.recurrent_rescale.view(), part.destination.data(), own.acc.data(),
                             own.sums.data());
    std::uint8_t* h = part.projection ? shared.unprojected.data()
                                      : execution_.output(utterance_.first + frame, d);
    execution_.kernels.lstm_cell(own.sums.data(), part.sums_stride(), part.units,
                                 peephole_of(direction, part), execution_.table,
                                 shared.cell.data() + part.first_unit, h + part.first_unit);
  }

  void project(std::size_t d, std::size_t frame, ThreadBuffers& own, const LstmPart& part) {
    const LstmDirection& direction = execution_.directions[d];
    const DirectionBuffers& shared = execution_.workspace.directions[d];
    part.projection->weights.load({shared.unprojected.data(), direction.cells},
                                  own.loaded_cell.data());
    part.projection->weights.product(execution_.kernels, frame, own.loaded_cell.data(),
                                     own.acc.data());
    execution_.kernels.requantize(
        own.acc.data(), part.projection->rows, part.projection->rescale.view(),
        direction.projection_clamp,
        execution_.output(utterance_.first + frame, d) + part.projection->first_row);
  }

  const LstmExecution& execution_;
  const FrameRange& utterance_;
  const std::size_t tiles_;
  const Teams teams_;
  Barrier all_;
  std::deque<Barrier> team_barriers_;
  std::vector<WorkCounter> counters_;
  std::vector<Block> blocks_;
};

}  // namespace

void run_utterance(const LstmExecution& execution, const Tiles& input,
                   const FrameRange& utterance) {
  UtteranceRun(execution, utterance).run(input);
}

void run_utterance(const LstmExecution& execution, const Vectors& input,
                   const FrameRange& utterance) {
  UtteranceRun(execution, utterance).run(input);
}

}  // namespace sparsespeech
