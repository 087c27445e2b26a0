// How an LSTM layer runs on its threads.

#ifndef SPARSESPEECH_ENGINE_LSTM_EXECUTION_H_
#define SPARSESPEECH_ENGINE_LSTM_EXECUTION_H_

#include <span>
#include <vector>

#include "lstm_layer.h"
#include "lstm_workspace.h"

namespace sparsespeech {

struct LstmExecution {
  const std::vector<LstmDirection>& directions;
  SigmoidTable table;
  const Kernels& kernels;
  ThreadPool& pool;
  LstmWorkspace& workspace;

  // Values of one frame in workspace.outputs.
  std::size_t output_values() const { return directions.size() * directions[0].outputs; }

  // Where direction d writes its output of `frame`.
  std::uint8_t* output(std::size_t frame, std::size_t d) const {
    return workspace.outputs.data() + frame * output_values() + d * directions[0].outputs;
  }
};

// The threads of one direction: with two directions and two threads or more each direction has a
// team of its own, otherwise all threads go through the directions one after the other.
class Teams {
 public:
  Teams(std::size_t directions, std::size_t threads)
      : directions_(directions),
        size_(directions == 2 && threads >= 2 ? threads / 2 : threads),
        split_(directions == 2 && threads >= 2) {}

  std::size_t size() const { return size_; }
  // Member number of `thread` in the team of direction `d`, or size() if it is not in it.
  std::size_t member(std::size_t thread, std::size_t d) const {
    if (!split_) return thread;
    return thread % directions_ == d && thread / directions_ < size_ ? thread / directions_ : size_;
  }

 private:
  std::size_t directions_, size_;
  bool split_;
};

// One utterance, which starts at a whole tile: for each 64 frames the input product of all, then
// step by step.
void run_utterance(const LstmExecution& execution, const Tiles& input, const FrameRange& utterance);

// The same for at most kTileColumns frames, whose input products are made one vector at a time.
void run_utterance(const LstmExecution& execution, const Vectors& input,
                   const FrameRange& utterance);

// At most 64 utterances, longest first, one step of all after the other; spread_inputs first.
void run_group(const LstmExecution& execution, std::size_t input_values,
               std::span<const FrameRange> utterances);

// Tiles to workspace.inputs.
void spread_inputs(const LstmExecution& execution, const Tiles& input);

// workspace.outputs to tiles.
void collect_outputs(const LstmExecution& execution, std::size_t frames, Tiles& output);

// The pieces of one step that both ways of running share.
Peephole peephole_of(const LstmDirection& direction, const LstmPart& part);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_LSTM_EXECUTION_H_
