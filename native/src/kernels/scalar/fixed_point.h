// Rule R4 on one value, and the saturation to 16 bits.
//
// Internal linkage on purpose: this header is compiled into several instruction sets, and a
// function that the linker shares between them would run on processors that lack one.

#ifndef SPARSESPEECH_KERNELS_SCALAR_FIXED_POINT_H_
#define SPARSESPEECH_KERNELS_SCALAR_FIXED_POINT_H_

#include <cstddef>
#include <cstdint>

#include "sparsespeech/kernels.h"

namespace sparsespeech {
namespace {

[[maybe_unused]] std::int64_t clamp(std::int64_t value, std::int64_t low, std::int64_t high) {
  return value < low ? low : value > high ? high : value;
}

[[maybe_unused]] std::int16_t saturate16(std::int64_t value) {
  return static_cast<std::int16_t>(clamp(value, INT16_MIN, INT16_MAX));
}

// R4': (acc * M + 2^(s-1)) >> s, exact in 64 bits.
[[maybe_unused]] std::int64_t rescaled(std::int32_t acc, std::int32_t multiplier,
                                       std::int32_t shift) {
  const std::int64_t half = std::int64_t{1} << (shift - 1);
  return (std::int64_t{acc} * multiplier + half) >> shift;
}

[[maybe_unused]] std::int64_t rescaled(std::int32_t acc, const Rescale& rescale,
                                       std::size_t index) {
  return rescaled(acc, rescale.multiplier[index * rescale.stride],
                  rescale.shift[index * rescale.stride]);
}

}  // namespace
}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_SCALAR_FIXED_POINT_H_
