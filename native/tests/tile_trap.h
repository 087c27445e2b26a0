// Runs compiled AMX code on a processor without AMX: each tile instruction raises SIGILL, and the
// handler decodes it, has a TileModel do it, and goes on behind it. Linux on x86-64.
//
// Encodings (Intel's manual): VEX with three bytes, map 0F38, W 0, 128 bits;
//   LDTILECFG np 49 /0 memory, TILERELEASE np 49 C0, TILELOADD f2 4B /r SIB,
//   TILESTORED f3 4B /r SIB, TDPBSUD f3 5E, TDPBF16PS f3 5C: reg sums, rm a, vvvv b.

#ifndef SPARSESPEECH_TESTS_TILE_TRAP_H_
#define SPARSESPEECH_TESTS_TILE_TRAP_H_

#include <signal.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tile_model.h"

namespace sparsespeech {

class TileTrap {
 public:
  static TileModel& model() {
    static TileModel model;
    return model;
  }

  static void install() {
    model();
    struct sigaction action = {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO;
    TileModel::require(sigaction(SIGILL, &action, nullptr) == 0, "sigaction");
  }

 private:
  struct Operand {
    const std::uint8_t* end;  // of the instruction
    std::int64_t base = 0, index = 0;
  };

  static std::int64_t general_register(const ucontext_t& context, unsigned number) {
    static constexpr int kPlace[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                       REG_R12, REG_R13, REG_R14, REG_R15};
    return context.uc_mcontext.gregs[kPlace[number]];
  }

  // The memory operand whose ModRM byte is at `modrm`; base and scaled index apart.
  static Operand memory_operand(const ucontext_t& context, const std::uint8_t* modrm, bool x,
                                bool b) {
    const unsigned mode = *modrm >> 6;
    unsigned base = *modrm & 7U;
    Operand operand{modrm + 1};
    TileModel::require(mode != 3, "a memory operand");
    const bool sib = base == 4;
    if (sib) {
      const unsigned index = ((*operand.end >> 3) & 7U) + 8U * x;
      if (index != 4) operand.index = general_register(context, index) << (*operand.end >> 6);
      base = *operand.end++ & 7U;
    }
    if (mode == 0 && base == 5) {
      TileModel::require(!sib, "a base register");
      const std::int64_t displacement = signed_bytes<std::int32_t>(operand.end);
      operand.end += 4;
      operand.base = reinterpret_cast<std::int64_t>(operand.end) + displacement;  // RIP-relative
      return operand;
    }
    operand.base = general_register(context, base + 8U * b);
    if (mode == 1) operand.base += signed_bytes<std::int8_t>(operand.end);
    if (mode == 2) operand.base += signed_bytes<std::int32_t>(operand.end);
    operand.end += mode == 1 ? 1 : mode == 2 ? 4 : 0;
    return operand;
  }

  template <typename T>
  static T signed_bytes(const std::uint8_t* data) {
    T value;
    std::memcpy(&value, data, sizeof(value));
    return value;
  }

  static void handle(int, siginfo_t*, void* context_pointer) {
    auto& context = *static_cast<ucontext_t*>(context_pointer);
    const auto* code = reinterpret_cast<const std::uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
    const bool vex = code[0] == 0xC4 && (code[1] & 0x1FU) == 2 && (code[2] & 0x84U) == 0;
    TileModel::require(vex, "an illegal instruction that is no tile instruction");
    const bool x = (code[1] & 0x40U) == 0, b = (code[1] & 0x20U) == 0;
    const unsigned prefix = code[2] & 3U, third = (~code[2] >> 3) & 15U;
    enum : unsigned { kNone = 0, kF3 = 2, kF2 = 3 };
    const std::uint8_t opcode = code[3];
    const std::uint8_t* modrm = code + 4;
    const unsigned reg = (*modrm >> 3) & 7U, rm = *modrm & 7U;
    const std::uint8_t* end = modrm + 1;
    if (opcode == 0x49 && prefix == kNone && *modrm == 0xC0) {
      model().release();
    } else if (opcode == 0x49 && prefix == kNone && reg == 0) {
      const Operand operand = memory_operand(context, modrm, x, b);
      model().load_configuration(
          reinterpret_cast<const std::uint8_t*>(operand.base + operand.index));
      end = operand.end;
    } else if (opcode == 0x4B && (prefix == kF2 || prefix == kF3) && rm == 4) {
      const Operand operand = memory_operand(context, modrm, x, b);
      auto* memory = reinterpret_cast<std::uint8_t*>(operand.base);
      if (prefix == kF2) {
        model().load(reg, memory, operand.index);
      } else {
        model().store(reg, memory, operand.index);
      }
      end = operand.end;
    } else if (opcode == 0x5E && prefix == kF3 && *modrm >= 0xC0) {
      model().multiply(reg, rm, third);
    } else if (opcode == 0x5C && prefix == kF3 && *modrm >= 0xC0) {
      model().multiply_bf16(reg, rm, third);
    } else {
      TileModel::require(false, "a tile instruction that the model has");
    }
    context.uc_mcontext.gregs[REG_RIP] = reinterpret_cast<std::int64_t>(end);
  }
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_TESTS_TILE_TRAP_H_
