// Rule R4.

#include "fixed_point.h"
#include "functions.h"

namespace sparsespeech {

void scalar_requantize(const std::int32_t* acc, std::size_t count, Rescale rescale, Clamp limits,
                       std::uint8_t* y) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t value = rescaled(acc[i], rescale, i) + limits.zero_point;
    y[i] = static_cast<std::uint8_t>(clamp(value, limits.low, limits.high));
  }
}

}  // namespace sparsespeech
