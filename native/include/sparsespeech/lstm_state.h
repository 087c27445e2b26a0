// What an LSTM carries from one frame to the next.

#ifndef SPARSESPEECH_LSTM_STATE_H_
#define SPARSESPEECH_LSTM_STATE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sparsespeech {

// One direction of one utterance.
struct LstmState {
  std::vector<std::int16_t> cell;    // [H], Q4.11 (R7)
  std::vector<std::uint8_t> output;  // [F], the fed-back h (R8)

  std::size_t bytes() const { return cell.size() * sizeof(std::int16_t) + output.size(); }
};

// One utterance: a state for each LSTM layer of a unidirectional model.
struct EngineState {
  std::vector<LstmState> layers;

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const LstmState& layer : layers) sum += layer.bytes();
    return sum;
  }
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_LSTM_STATE_H_
