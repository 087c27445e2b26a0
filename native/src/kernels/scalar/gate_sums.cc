// Rule R5: the sum of the stored input part and the recurrent part.

#include "fixed_point.h"
#include "functions.h"

namespace sparsespeech {

void scalar_gate_sums(const std::int32_t* acc, const std::int16_t* stored, std::size_t count,
                      Rescale rescale, const std::uint16_t* destination, std::int32_t* sums) {
  for (std::size_t i = 0; i < count; ++i) {
    sums[destination[i]] = static_cast<std::int32_t>(stored[i] + rescaled(acc[i], rescale, i));
  }
}

}  // namespace sparsespeech
