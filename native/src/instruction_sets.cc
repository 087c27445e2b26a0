#include "sparsespeech/instruction_sets.h"

#include <cstdint>
#include <initializer_list>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace sparsespeech {

#if defined(__x86_64__)
namespace {

struct Registers {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  Registers found;
  // Returns 0 and leaves the registers at zero where the processor does not know the leaf.
  __get_cpuid_count(leaf, subleaf, &found.eax, &found.ebx, &found.ecx, &found.edx);
  return found;
}

constexpr bool has(std::uint64_t value, std::initializer_list<int> bits) {
  for (const int bit : bits) {
    if (((value >> bit) & 1U) == 0) return false;
  }
  return true;
}

// XCR0: the register files that the operating system saves on a task switch.
std::uint64_t saved_registers() {
  const bool osxsave = has(cpuid(1, 0).ecx, {27});
  if (!osxsave) return 0;
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

// Asks the operating system for the tile registers, for the whole process, and reads back whether
// it gave them: Linux lets nobody use them unasked. No other system has been tried.
bool request_tiles() {
#if defined(__linux__)
  constexpr long kGetPermission = 0x1022, kRequestPermission = 0x1023;  // of arch_prctl
  constexpr int kTileData = 18;                                         // as in XCR0
  if (syscall(SYS_arch_prctl, kRequestPermission, long{kTileData}) != 0) return false;
  std::uint64_t permitted = 0;
  if (syscall(SYS_arch_prctl, kGetPermission, &permitted) != 0) return false;
  return has(permitted, {kTileData});
#else
  return false;
#endif
}

bool tiles_permitted() {
  static const bool permitted = request_tiles();
  return permitted;
}

}  // namespace
#endif

std::vector<std::string> instruction_sets() {
  std::vector<std::string> levels{"scalar"};
#if defined(__x86_64__)
  const Registers basic = cpuid(1, 0);
  const Registers extended = cpuid(7, 0);
  const std::uint64_t saved = saved_registers();

  const bool ymm_saved = has(saved, {1, 2});                              // SSE, AVX
  const bool fma_f16c = has(basic.ecx, {12, 29});                         // FMA, F16C
  if (!ymm_saved || !fma_f16c || !has(extended.ebx, {5})) return levels;  // AVX2
  levels.emplace_back("avx2");

  const bool zmm_saved = has(saved, {5, 6, 7});            // masks, ZMM upper halves
  const bool avx512 = has(extended.ebx, {16, 17, 30, 31})  // F, DQ, BW, VL
                      && has(extended.ecx, {1, 6, 11});    // VBMI, VBMI2, VNNI
  if (!zmm_saved || !avx512) return levels;
  levels.emplace_back("avx512");

  const bool tiles_saved = has(saved, {17, 18});   // tile configuration and data
  const bool tiles = has(extended.edx, {24, 25});  // TILE, INT8
  if (tiles_saved && tiles && tiles_permitted()) levels.emplace_back("amx");
#endif
  return levels;
}

}  // namespace sparsespeech
