// One input vector times a swept sparse matrix: a byte permute of the window in registers gathers,
// vpdpbusd multiplies. Rule R3, and R5 where the rows are an LSTM's gates.

#include <immintrin.h>

#include "dot_product.h"
#include "functions.h"
#include "gate_scatter.h"
#include "rescale.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kVector = 64;

// The columns of one window in registers.
template <int kWindow>
struct Window {
  __m512i part[kWindow / kVector];

  explicit Window(const std::uint8_t* line) {
    for (int i = 0; i < static_cast<int>(kWindow / kVector); ++i) {
      part[i] = _mm512_load_si512(line + i * kVector);
    }
  }

  // The 64 bytes at the 64 indices. Bit 7 of an index chooses the upper half of the window.
  __m512i gather(__m512i index) const {
    const __m512i low = _mm512_permutex2var_epi8(part[0], index, part[1]);
    const __mmask64 upper = _mm512_movepi8_mask(index);
    if constexpr (kWindow == 256) {
      return _mm512_mask_blend_epi8(upper, low, _mm512_permutex2var_epi8(part[2], index, part[3]));
    } else {
      return _mm512_mask_permutexvar_epi8(low, upper, index, part[2]);
    }
  }
};

// One step of all groups: sums[g] takes four products a row.
template <int kWindow, int kGroups>
void step(const std::uint8_t* entries, const std::uint8_t* line, __m512i (&sums)[kGroups]) {
  const Window<kWindow> window(line);
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    __m512i index = _mm512_load_si512(entries + 2 * kVector * static_cast<std::size_t>(g));
    // Keeps gcc from loading the indices again for every use.
    asm("" : "+v"(index));
    const __m512i weights =
        _mm512_load_si512(entries + 2 * kVector * static_cast<std::size_t>(g) + kVector);
    add_dot_products(sums[g], window.gather(index), weights);
  }
}

// Gives the 16 sums of the slots from `slot` on to where they belong.
struct StoreSums {
  std::int32_t* acc;

  void operator()(std::size_t slot, __m512i sums) const { _mm512_storeu_si512(acc + slot, sums); }
};

struct ScatterGateSums {
  const std::int16_t* stored;
  Rescale rescale;
  const std::uint16_t* destination;
  std::int32_t* sums;
  Rescaler rescaler;

  void operator()(std::size_t slot, __m512i acc) const {
    const Rescaler& own =
        rescale.stride == 0 ? rescaler : load_rescaler(rescale, slot, first_lanes(kLanes));
    scatter_gate_sums(own(acc), stored + slot, destination + slot, sums);
  }
};

// vpdpbusd takes four cycles to give its result and two start in one, so that enough independent
// sums must be under way: kGroups * kChains of them.
template <int kWindow, int kGroups, typename Sink>
void sweep_bundle(std::size_t slot, std::size_t steps, const std::uint8_t* entries,
                  const std::uint16_t* line, const std::uint8_t* copies, const std::int32_t* bias,
                  const Sink& sink) {
  constexpr int kChains = kGroups == 1 ? 4 : 2;
  constexpr std::size_t kStepBytes = 2 * kVector * kGroups;
  __m512i sums[kChains][kGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    sums[0][g] = _mm512_load_si512(bias + slot + kLanes * static_cast<std::size_t>(g));
#pragma GCC unroll 4
    for (int chain = 1; chain < kChains; ++chain) sums[chain][g] = _mm512_setzero_si512();
  }
  for (; steps >= kChains; steps -= kChains) {
#pragma GCC unroll 4
    for (int chain = 0; chain < kChains; ++chain) {
      step<kWindow, kGroups>(entries, copies + line[chain] * kVector, sums[chain]);
      entries += kStepBytes;
    }
    line += kChains;
  }
  for (; steps > 0; --steps) {
    step<kWindow, kGroups>(entries, copies + *line++ * kVector, sums[0]);
    entries += kStepBytes;
  }
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    __m512i sum = sums[0][g];
#pragma GCC unroll 4
    for (int chain = 1; chain < kChains; ++chain) sum = _mm512_add_epi32(sum, sums[chain][g]);
    sink(slot + kLanes * static_cast<std::size_t>(g), sum);
  }
}

template <int kWindow, int kGroups, typename Sink>
void sweep(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
           const Sink& sink) {
  constexpr std::size_t kStepBytes = 2 * kVector * kGroups;
  constexpr std::size_t kBundle = kLanes * kGroups;
  const std::size_t bundles = matrix.slots / kBundle;
  const std::uint16_t* steps = matrix.steps.data();
  const std::int32_t* bias = matrix.bias.data();
  if (order == SweepOrder::kForward) {
    const std::uint8_t* entries = matrix.entries.data();
    const std::uint16_t* line = matrix.window_line.data();
    for (std::size_t bundle = 0; bundle < bundles; ++bundle) {
      sweep_bundle<kWindow, kGroups>(bundle * kBundle, steps[bundle], entries, line, copies, bias,
                                     sink);
      entries += steps[bundle] * kStepBytes;
      line += steps[bundle];
    }
  } else {
    const std::uint8_t* entries = matrix.entries.data() + matrix.entries.size();
    const std::uint16_t* line = matrix.window_line.data() + matrix.window_line.size();
    for (std::size_t bundle = bundles; bundle-- > 0;) {
      entries -= steps[bundle] * kStepBytes;
      line -= steps[bundle];
      sweep_bundle<kWindow, kGroups>(bundle * kBundle, steps[bundle], entries, line, copies, bias,
                                     sink);
    }
  }
}

template <typename Sink>
void sweep_shaped(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                  const Sink& sink) {
  const bool wide = matrix.shape.window == 256;
  switch (matrix.shape.groups) {
    case 1:
      return (wide ? sweep<256, 1, Sink> : sweep<192, 1, Sink>)(matrix, order, copies, sink);
    case 2:
      return (wide ? sweep<256, 2, Sink> : sweep<192, 2, Sink>)(matrix, order, copies, sink);
    default:
      return (wide ? sweep<256, 4, Sink> : sweep<192, 4, Sink>)(matrix, order, copies, sink);
  }
}

}  // namespace

void avx512_sweep_product(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                          std::int32_t* acc) {
  sweep_shaped(matrix, order, copies, StoreSums{acc});
}

void avx512_sweep_gate_sums(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                            const std::int16_t* stored, Rescale rescale,
                            const std::uint16_t* destination, std::int32_t* sums) {
  sweep_shaped(matrix, order, copies,
               ScatterGateSums{stored, rescale, destination, sums,
                               load_rescaler(rescale, 0, first_lanes(kLanes))});
}

}  // namespace sparsespeech
