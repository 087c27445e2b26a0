// The buffers of an LSTM layer's run. They only grow, so that the second utterance finds them.

#ifndef SPARSESPEECH_ENGINE_LSTM_WORKSPACE_H_
#define SPARSESPEECH_ENGINE_LSTM_WORKSPACE_H_

#include <cstdint>
#include <vector>

#include "lstm_layer.h"

namespace sparsespeech {

// Shared by the threads of one direction's team. N is 1 or 64 utterances.
struct DirectionBuffers {
  AlignedBuffer<std::int16_t> stored;            // [64 frames or utterances][S], R5's xp
  AlignedBuffer<std::int16_t> cell;              // [N][H]
  AlignedBuffer<std::uint8_t> first;             // [N][F], the output before the first frame
  AlignedBuffer<std::uint8_t> unprojected;       // [N][H], h before a projection
  AlignedBuffer<std::uint8_t> input_tile;        // [tile_values(C)][64]
  AlignedBuffer<std::uint8_t> output_tile;       // [tile_values(F)][64]
  AlignedBuffer<std::uint8_t> unprojected_tile;  // [tile_values(H)][64]
};

// Of one thread.
struct ThreadBuffers {
  AlignedBuffer<std::uint8_t> loaded;        // one vector, as PackedMatrix::load makes it
  AlignedBuffer<std::uint8_t> loaded_cell;   // the same before a projection
  AlignedBuffer<std::int32_t> acc;           // [1 or 64][slots of a part]
  AlignedBuffer<std::int32_t> sums;          // [4][units of a part], and the empty slots
  AlignedBuffer<std::uint8_t> block;         // [32][64], projected outputs of a row block
  AlignedBuffer<std::uint8_t> loaded_input;  // one input vector
  AlignedBuffer<std::int16_t> zeros;         // [slots of a part]
  AlignedBuffer<std::uint16_t> in_order;     // [slots of a part]: 0, 1, ..
};

struct LstmWorkspace {
  std::vector<DirectionBuffers> directions;
  std::vector<ThreadBuffers> threads;
  AlignedBuffer<std::uint8_t> inputs;   // [T][C], frames as vectors
  AlignedBuffer<std::uint8_t> outputs;  // [T][directions * F]

  void reserve(const std::vector<LstmDirection>& layer, std::size_t thread_count,
               std::size_t frames, std::size_t input_values, bool together);
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_LSTM_WORKSPACE_H_
