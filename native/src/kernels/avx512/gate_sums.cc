// Rule R5: the stored input part and the recurrent sums of an LSTM's gates.

#include "functions.h"
#include "gate_scatter.h"
#include "rescale.h"

namespace sparsespeech {

void avx512_gate_sums(const std::int32_t* acc, const std::int16_t* stored, std::size_t count,
                      Rescale rescale, const std::uint16_t* destination, std::int32_t* sums) {
  Rescaler rescaler = load_rescaler(rescale, 0, first_lanes(count));
  for (std::size_t i = 0; i < count; i += kLanes) {
    if (rescale.stride != 0) rescaler = load_rescaler(rescale, i, first_lanes(kLanes));
    scatter_gate_sums(rescaler(_mm512_loadu_si512(acc + i)), stored + i, destination + i, sums);
  }
}

}  // namespace sparsespeech
