#include "sparsespeech/training_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "../kernels/amx_bf16/functions.h"
#include "../kernels/avx512_bf16/functions.h"
#include "sparsespeech/instruction_sets.h"
#endif

namespace sparsespeech {

namespace {

const TrainingKernels* find_kernels() {
#if defined(__x86_64__)
  const std::vector<std::string> levels = instruction_sets();
  const auto has = [&](const char* level) {
    return std::find(levels.begin(), levels.end(), level) != levels.end();
  };
  if (!has("avx512")) return nullptr;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kBf16 = 1U << 5;  // of leaf 7, subleaf 1
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) == 0 || (eax & kBf16) == 0) return nullptr;
  constexpr unsigned kTileBf16 = 1U << 22;  // of leaf 7, subleaf 0
  const bool tiles =
      has("amx") && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kTileBf16) != 0;
  // The variable that also limits the engine; training asks Python for anything lower.
  const char* wanted = std::getenv("SPARSESPEECH_CPU_ISA");
  if (tiles && (wanted == nullptr || std::string(wanted) != "avx512")) {
    return &amx_bf16_training_kernels();
  }
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

const char* training_kernel_set() {
  const TrainingKernels* const kernels = training_kernels();
  return kernels == nullptr ? nullptr : kernels->name;
}

}  // namespace sparsespeech
