// Limit loops of the baseline: plain C++, one product at a time.

#include "sparsespeech/limits.h"

#include <array>
#include <cstring>

namespace sparsespeech {
namespace {

constexpr std::size_t kProducts = 8;

// Makes the compiler believe that `value` has changed, so that it neither folds nor vectorises.
inline void touch(std::int32_t& value) {
#if defined(__GNUC__)
  __asm__ volatile("" : "+r"(value));
#endif
}

std::uint64_t read_lines(const std::uint8_t* data, std::size_t lines) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < 8 * lines; ++i) {
    std::uint64_t word;
    std::memcpy(&word, data + 8 * i, sizeof(word));
    sum ^= word;
  }
  return sum;
}

std::uint64_t multiply(std::size_t blocks) {
  std::array<std::int32_t, kProducts> sums{};
  std::int32_t activation = 1, weight = 3;
  for (std::size_t block = 0; block < blocks; ++block) {
    for (std::int32_t& sum : sums) {
      touch(activation);
      sum += activation * weight;
    }
  }
  std::uint64_t all = 0;
  for (const std::int32_t sum : sums) all += static_cast<std::uint32_t>(sum);
  return all;
}

std::uint64_t pick_and_multiply(std::size_t blocks) {
  std::array<std::uint8_t, 256> activations;
  for (std::size_t i = 0; i < activations.size(); ++i) activations[i] = i & 3;
  std::array<std::int32_t, kProducts> sums{};
  std::int32_t index = 5, weight = 3;
  for (std::size_t block = 0; block < blocks; ++block) {
    for (std::int32_t& sum : sums) {
      touch(index);
      sum += activations[static_cast<std::uint8_t>(index)] * weight;
    }
  }
  std::uint64_t all = 0;
  for (const std::int32_t sum : sums) all += static_cast<std::uint32_t>(sum);
  return all;
}

constexpr LimitLoops kLoops{read_lines, multiply, pick_and_multiply, kProducts};

}  // namespace

const LimitLoops& scalar_limit_loops() { return kLoops; }

}  // namespace sparsespeech
