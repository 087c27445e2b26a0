// One input vector times a swept sparse matrix: byte shuffles of the window gather, 16-bit products
// multiply. Rule R3, and R5 where the rows are an LSTM's gates.
//
// A byte shuffle looks up 16 columns and gives 0 where bit 7 of the index is set. Table j > 0 holds
// the difference (exclusive or) of 16 columns to the 16 before them and is indexed with
// index - 16 * j: bit 7 is clear exactly where the index has reached it, so that the differences up
// to the wanted columns, and no others, add up. This works for 128 columns; wider windows are two.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kTableColumns = 16;
constexpr std::size_t kVector = 32;                              // bytes of a register
constexpr std::size_t kRowsOfVector = kVector / kEntries;        // 8
constexpr std::size_t kVectorsOfGroup = kLanes / kRowsOfVector;  // 2
constexpr std::size_t kIndexBytes = kLanes * kEntries;  // of one group, and as many weights

__m256i load(const void* data) { return _mm256_load_si256(static_cast<const __m256i*>(data)); }

// kTables * 16 columns in registers, each of 16 columns in both halves of one.
template <std::size_t kTables>
struct Window {
  static_assert(kTables <= 8);
  __m256i table[kTables];

  explicit Window(const std::uint8_t* columns) {
    __m256i before = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (std::size_t j = 0; j < kTables; ++j) {
      const __m256i own = _mm256_broadcastsi128_si256(
          _mm_load_si128(reinterpret_cast<const __m128i*>(columns + j * kTableColumns)));
      table[j] = _mm256_xor_si256(own, before);
      before = own;
    }
  }

  // The columns at the 32 indices; 0 for the index 255.
  __m256i gather(__m256i index) const {
    __m256i bytes = _mm256_shuffle_epi8(table[0], index);
#pragma GCC unroll 8
    for (std::size_t j = 1; j < kTables; ++j) {
      index = _mm256_sub_epi8(index, _mm256_set1_epi8(kTableColumns));
      bytes = _mm256_xor_si256(bytes, _mm256_shuffle_epi8(table[j], index));
    }
    return bytes;
  }
};

// 192 or 256 columns.
template <std::size_t kTables>
struct WideWindow {
  Window<8> low;
  Window<kTables - 8> high;

  explicit WideWindow(const std::uint8_t* columns) : low(columns), high(columns + 128) {}

  __m256i gather(__m256i index) const {
    const __m256i is_high = _mm256_cmpgt_epi8(_mm256_setzero_si256(), index);
    const __m256i is_low = _mm256_cmpgt_epi8(index, _mm256_set1_epi8(-1));
    const __m256i above = _mm256_xor_si256(index, _mm256_set1_epi8(INT8_MIN));
    return _mm256_or_si256(low.gather(_mm256_or_si256(index, is_high)),
                           high.gather(_mm256_or_si256(above, is_low)));
  }
};

// The products of the four entries in each 32-bit lane: the even bytes and the odd ones as 16-bit
// numbers. The byte form (maddubs) saturates at 2^15 and is wrong.
__m256i products(__m256i x, __m256i weights) {
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(x, _mm256_set1_epi16(0xFF)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(weights, 8));
  return _mm256_add_epi32(even, odd);
}

// Where the sums of a bundle go: to `acc`, or on to the gates where that is null.
struct Target {
  std::int32_t* acc = nullptr;
  const std::int16_t* stored = nullptr;
  Rescale rescale = {};
  const std::uint16_t* destination = nullptr;
  std::int32_t* sums = nullptr;

  void take(std::size_t slot, const std::int32_t* bundle, std::size_t count) const {
    if (acc != nullptr) {
      __builtin_memcpy(acc + slot, bundle, count * sizeof(*bundle));
    } else {
      avx2_gate_sums(bundle, stored + slot, count, rescale.from(slot), destination + slot, sums);
    }
  }
};

template <typename WindowType, std::size_t kGroups>
void sweep_bundle(std::size_t steps, const std::uint8_t* entries, const std::uint16_t* line,
                  const std::uint8_t* copies, std::int32_t* bundle) {
  constexpr std::size_t kVectors = kGroups * kVectorsOfGroup;
  __m256i sums[kVectors];
#pragma GCC unroll 8
  for (std::size_t v = 0; v < kVectors; ++v) sums[v] = load(bundle + v * kRowsOfVector);
  for (std::size_t step = 0; step < steps; ++step) {
    const WindowType window(copies + line[step] * kCacheLineBytes);
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::uint8_t* index =
          entries + v / kVectorsOfGroup * 2 * kIndexBytes + v % kVectorsOfGroup * kVector;
      sums[v] = _mm256_add_epi32(sums[v],
                                 products(window.gather(load(index)), load(index + kIndexBytes)));
    }
    entries += 2 * kIndexBytes * kGroups;
  }
#pragma GCC unroll 8
  for (std::size_t v = 0; v < kVectors; ++v) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(bundle + v * kRowsOfVector), sums[v]);
  }
}

template <typename WindowType, std::size_t kGroups>
void sweep(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
           const Target& target) {
  constexpr std::size_t kBundle = kLanes * kGroups;
  constexpr std::size_t kStepBytes = 2 * kIndexBytes * kGroups;
  const bool forward = order == SweepOrder::kForward;
  const std::size_t bundles = matrix.slots / kBundle;
  const std::uint8_t* entries = matrix.entries.data() + (forward ? 0 : matrix.entries.size());
  const std::uint16_t* line = matrix.window_line.data() + (forward ? 0 : matrix.window_line.size());
  for (std::size_t i = 0; i < bundles; ++i) {
    const std::size_t bundle = forward ? i : bundles - 1 - i;
    const std::size_t steps = matrix.steps.data()[bundle];
    if (!forward) {
      entries -= steps * kStepBytes;
      line -= steps;
    }
    alignas(kVector) std::int32_t sums[kBundle];
    __builtin_memcpy(sums, matrix.bias.data() + bundle * kBundle, sizeof(sums));
    sweep_bundle<WindowType, kGroups>(steps, entries, line, copies, sums);
    target.take(bundle * kBundle, sums, kBundle);
    if (forward) {
      entries += steps * kStepBytes;
      line += steps;
    }
  }
}

template <typename WindowType>
void sweep_groups(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                  const Target& target) {
  switch (matrix.shape.groups) {
    case 1:
      return sweep<WindowType, 1>(matrix, order, copies, target);
    case 2:
      return sweep<WindowType, 2>(matrix, order, copies, target);
    default:
      return sweep<WindowType, 4>(matrix, order, copies, target);
  }
}

void sweep_shaped(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                  const Target& target) {
  switch (matrix.shape.window) {
    case 64:
      return sweep_groups<Window<4>>(matrix, order, copies, target);
    case 96:
      return sweep_groups<Window<6>>(matrix, order, copies, target);
    case 128:
      return sweep_groups<Window<8>>(matrix, order, copies, target);
    case 192:
      return sweep_groups<WideWindow<12>>(matrix, order, copies, target);
    default:
      return sweep_groups<WideWindow<16>>(matrix, order, copies, target);
  }
}

}  // namespace

void avx2_sweep_product(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                        std::int32_t* acc) {
  sweep_shaped(matrix, order, copies, {.acc = acc});
}

void avx2_sweep_gate_sums(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                          const std::int16_t* stored, Rescale rescale,
                          const std::uint16_t* destination, std::int32_t* sums) {
  sweep_shaped(matrix, order, copies,
               {.stored = stored, .rescale = rescale, .destination = destination, .sums = sums});
}

}  // namespace sparsespeech
