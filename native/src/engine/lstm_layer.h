// An LSTM layer, one or two directions: rules R3 to R8 and R12.
//
// Axes: H cells and F fed-back values of one direction (F = H without projection), S slots of the
// 4H gate rows in packed order, T frames, N utterances of one step (at most 64).
//
// The units of a direction are split into parts, one a thread of its team. A part owns the four
// gate rows of its units; their packed order is free, so rows of like length stand together.

#ifndef SPARSESPEECH_ENGINE_LSTM_LAYER_H_
#define SPARSESPEECH_ENGINE_LSTM_LAYER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "packed_layer.h"
#include "packed_matrix.h"
#include "sparsespeech/lstm_state.h"
#include "sparsespeech/thread_pool.h"

namespace sparsespeech {

// The frames of one utterance among all frames of a run.
struct FrameRange {
  std::size_t first = 0, count = 0;
  LstmState* state = nullptr;  // null: R12's initial state, and the last state is dropped
};

// The rows of one projection matrix [F, H] that a part computes (R8, last sentence).
struct ProjectionPart {
  std::size_t first_row = 0, rows = 0;
  PackedMatrix weights;
  RescaleTable rescale;
};

struct LstmPart {
  std::size_t first_unit = 0, units = 0;
  std::size_t first_slot = 0;  // among the direction's slots
  PackedMatrix input;          // [slots, C]
  RescaleTable input_rescale;
  PackedMatrix recurrent;  // [slots, F]
  RescaleTable recurrent_rescale;
  std::vector<std::uint16_t> destination;  // slot -> gate * sums_stride() + unit
  std::optional<ProjectionPart> projection;

  std::size_t slots() const { return destination.size(); }
  std::size_t sums_stride() const { return round_up(units, kLanes); }
  // Empty slots write behind the four gates.
  std::size_t sums_size() const { return 4 * sums_stride() + kSlotMultiple; }
};

struct LstmDirection {
  std::size_t cells = 0, outputs = 0, slots = 0;
  std::vector<LstmPart> parts;
  std::vector<std::int16_t> peephole = {};  // [3][H], or empty
  std::optional<RescaleTable> peephole_rescale = {};
  Clamp projection_clamp = {};
  std::uint8_t initial_output = 128;

  std::size_t bytes() const;
};

// Buffers of one run, kept for the next one.
struct LstmWorkspace;

// The gate rows of each part: those of the units at its places.
std::vector<std::vector<std::uint32_t>> lstm_part_rows(const LstmDirectionModel& model,
                                                       std::size_t parts);

class LstmLayer {
 public:
  // `parts` threads share a direction. Throws std::length_error for too many cells.
  LstmLayer(const LstmModel& model, const SigmoidTable& table, const Packing& packing,
            std::size_t parts);
  ~LstmLayer();
  LstmLayer(LstmLayer&&) noexcept;

  // Utterances one after the other, each over the threads; ranges start at whole tiles.
  void run_each(const Tiles& input, std::span<const FrameRange> utterances, const Kernels& kernels,
                ThreadPool& pool, Tiles& output);
  // The same for at most kTileColumns frames in all, as vectors.
  void run_each(const Vectors& input, std::span<const FrameRange> utterances,
                const Kernels& kernels, ThreadPool& pool, Vectors& output);
  // Up to 64 utterances at a time, step by step; ranges as they come.
  void run_together(const Tiles& input, std::span<const FrameRange> utterances,
                    const Kernels& kernels, ThreadPool& pool, Tiles& output);

  bool bidirectional() const { return directions_.size() == 2; }
  std::size_t outputs() const { return directions_.size() * directions_[0].outputs; }
  LstmState initial_state() const;
  std::size_t bytes() const;
  std::vector<MatrixReport> reports() const { return reports_; }

 private:
  std::vector<LstmDirection> directions_;
  std::vector<std::int16_t> sigmoid_base_, sigmoid_slope_;
  std::vector<MatrixReport> reports_;
  std::unique_ptr<LstmWorkspace> workspace_;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_LSTM_LAYER_H_
