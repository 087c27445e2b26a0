// Rules R5 to R8 for 32 units at a time in 16-bit lanes; every step is exact.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

constexpr std::size_t kUnits = 32;

// Rule R6 with its table in four registers.
class Sigmoid {
 public:
  explicit Sigmoid(const SigmoidTable& table)
      : base_low_(_mm512_loadu_si512(table.base.data())),
        base_high_(_mm512_loadu_si512(table.base.data() + 32)),
        slope_low_(_mm512_loadu_si512(table.slope.data())),
        slope_high_(_mm512_loadu_si512(table.slope.data() + 32)),
        last_(_mm512_set1_epi16(table.base[64])) {}

  // Q4.11 to Q0.15.
  __m512i operator()(__m512i x) const {
    const __m512i magnitude = _mm512_abs_epi16(x);  // |-32768| is 32768 as an unsigned number
    const __m512i segment = _mm512_srli_epi16(magnitude, 8);
    // (slope * fraction + 128) >> 8 is (slope * (fraction << 7) + 2^14) >> 15, which vpmulhrsw is.
    const __m512i fraction =
        _mm512_and_si512(_mm512_slli_epi16(magnitude, 7), _mm512_set1_epi16(0x7F80));
    const __m512i base = _mm512_permutex2var_epi16(base_low_, segment, base_high_);
    const __m512i slope = _mm512_permutex2var_epi16(slope_low_, segment, slope_high_);
    __m512i y = _mm512_add_epi16(base, _mm512_mulhrs_epi16(slope, fraction));
    const __mmask32 beyond = _mm512_cmpge_epu16_mask(magnitude, _mm512_set1_epi16(16384));
    y = _mm512_mask_mov_epi16(y, beyond, last_);
    const __m512i one = _mm512_set1_epi16(static_cast<short>(-32768));  // 32768 modulo 2^16
    return _mm512_mask_sub_epi16(y, _mm512_movepi16_mask(x), one, y);
  }

  // tanh(x) = 2 * sigmoid(saturate16(2x)) - 32768, the last two steps modulo 2^16.
  __m512i tanh(__m512i x) const {
    const __m512i twice = _mm512_slli_epi16((*this)(_mm512_adds_epi16(x, x)), 1);
    return _mm512_xor_si512(twice, _mm512_set1_epi16(static_cast<short>(-32768)));
  }

 private:
  __m512i base_low_, base_high_, slope_low_, slope_high_, last_;
};

// Rule R7: saturate16((f*c + ((i*g + 8) >> 4) + 2^14) >> 15).
__m512i update_cell(__m512i i, __m512i f, __m512i g, __m512i c) {
  const __m512i ig_low = _mm512_mullo_epi16(i, g), ig_high = _mm512_mulhi_epi16(i, g);
  const __m512i fc_low = _mm512_mullo_epi16(f, c), fc_high = _mm512_mulhi_epi16(f, c);
  const __m512i eight = _mm512_set1_epi32(8), half = _mm512_set1_epi32(1 << 14);
  const auto updated = [&](__m512i ig, __m512i fc) {
    const __m512i added = _mm512_srai_epi32(_mm512_add_epi32(ig, eight), 4);
    return _mm512_srai_epi32(_mm512_add_epi32(_mm512_add_epi32(fc, added), half), 15);
  };
  // unpack and packs split and join the same lanes, so the order of the units survives.
  return _mm512_packs_epi32(
      updated(_mm512_unpacklo_epi16(ig_low, ig_high), _mm512_unpacklo_epi16(fc_low, fc_high)),
      updated(_mm512_unpackhi_epi16(ig_low, ig_high), _mm512_unpackhi_epi16(fc_low, fc_high)));
}

// saturate16 of 32 sums (R5).
__m512i load_gate(const std::int32_t* sums, __mmask32 mask) {
  const __m512i low = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask), sums);
  const __m512i high = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask >> 16), sums + 16);
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtsepi32_epi16(low)),
                            _mm512_cvtsepi32_epi16(high), 1);
}

}  // namespace

void avx512_lstm_cell(const std::int32_t* sums, std::size_t stride, std::size_t units,
                      const Peephole& peephole, const SigmoidTable& table, std::int16_t* cell,
                      std::uint8_t* h) {
  if (peephole.input != nullptr) {  // rare, and exact only with 32-bit sums before saturation
    avx2_kernels().lstm_cell(sums, stride, units, peephole, table, cell, h);
    return;
  }
  const Sigmoid sigmoid(table);
  for (std::size_t unit = 0; unit < units; unit += kUnits) {
    const std::size_t left = units - unit;
    const auto mask = static_cast<__mmask32>(left >= kUnits ? ~0U : (1U << left) - 1U);
    const __m512i i = sigmoid(load_gate(sums + unit, mask));
    const __m512i f = sigmoid(load_gate(sums + stride + unit, mask));
    const __m512i g = sigmoid.tanh(load_gate(sums + 2 * stride + unit, mask));
    const __m512i o = sigmoid(load_gate(sums + 3 * stride + unit, mask));
    const __m512i c = update_cell(i, f, g, _mm512_maskz_loadu_epi16(mask, cell + unit));
    _mm512_mask_storeu_epi16(cell + unit, mask, c);
    // Rule R8; both roundings, of m and of m * 65024 / 2^24 = m * 127 / 2^15, are vpmulhrsw.
    const __m512i m = _mm512_mulhrs_epi16(o, sigmoid.tanh(c));
    const __m512i output =
        _mm512_add_epi16(_mm512_mulhrs_epi16(m, _mm512_set1_epi16(127)), _mm512_set1_epi16(128));
    _mm512_mask_cvtepi16_storeu_epi8(h + unit, mask, output);
  }
}

}  // namespace sparsespeech
