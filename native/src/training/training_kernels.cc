#include "sparsespeech/training_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include <algorithm>
#include <string>
#include <vector>

#include "../kernels/avx512_bf16/functions.h"
#include "sparsespeech/instruction_sets.h"
#endif

namespace sparsespeech {

namespace {

const TrainingKernels* find_kernels() {
#if defined(__x86_64__)
  const std::vector<std::string> levels = instruction_sets();
  if (std::find(levels.begin(), levels.end(), "avx512") == levels.end()) return nullptr;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kBf16 = 1U << 5;  // of leaf 7, subleaf 1
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) == 0 || (eax & kBf16) == 0) return nullptr;
  return &avx512_bf16_training_kernels();
#else
  return nullptr;
#endif
}

}  // namespace

const TrainingKernels* training_kernels() {
  static const TrainingKernels* const found = find_kernels();
  return found;
}

bool training_available() { return training_kernels() != nullptr; }

}  // namespace sparsespeech
