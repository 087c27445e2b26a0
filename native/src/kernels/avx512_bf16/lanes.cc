// Between [B][F], as torch keeps a step, and [F][L], as the training kernels do.

#include <immintrin.h>

#include "functions.h"

namespace sparsespeech {
namespace {

struct Block {
  __m512 row[16];
};

// Transposes 16 x 16 floats.
void transpose(Block& block) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(block.row[i], block.row[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(block.row[i], block.row[i + 1]);
  }
  __m512 u[16];
  for (int i = 0; i < 16; i += 4) {
    const auto pair = [&](int a, int b, bool high) {
      const __m512d x = _mm512_castps_pd(t[i + a]), y = _mm512_castps_pd(t[i + b]);
      return _mm512_castpd_ps(high ? _mm512_unpackhi_pd(x, y) : _mm512_unpacklo_pd(x, y));
    };
    u[i] = pair(0, 2, false);
    u[i + 1] = pair(0, 2, true);
    u[i + 2] = pair(1, 3, false);
    u[i + 3] = pair(1, 3, true);
  }
  for (int i = 0; i < 4; ++i) {
    const __m512 a = _mm512_shuffle_f32x4(u[i], u[i + 4], 0x88);
    const __m512 b = _mm512_shuffle_f32x4(u[i], u[i + 4], 0xdd);
    const __m512 c = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0x88);
    const __m512 d = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0xdd);
    block.row[i] = _mm512_shuffle_f32x4(a, c, 0x88);
    block.row[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
    block.row[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
    block.row[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}

std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }

__mmask16 first(std::size_t count) { return static_cast<__mmask16>((1U << count) - 1); }

__m512 load(const float* x, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, x); }

__m512 load(const std::uint16_t* x, __mmask16 mask) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

// `row_of` gives where the row of a lane begins, null for a lane without one.
template <typename RowOf>
void spread(RowOf row_of, std::size_t features, std::size_t lanes, float* out) {
  for (std::size_t lane = 0; lane < lanes; lane += 16) {
    for (std::size_t feature = 0; feature < features; feature += 16) {
      const std::size_t width = least(16, features - feature);
      Block block;
      for (std::size_t i = 0; i < 16; ++i) {
        const auto* const row = row_of(lane + i);
        block.row[i] = row == nullptr ? _mm512_setzero_ps() : load(row + feature, first(width));
      }
      transpose(block);
      for (std::size_t i = 0; i < width; ++i) {
        _mm512_storeu_ps(out + (feature + i) * lanes + lane, block.row[i]);
      }
    }
  }
}

void store(float* out, __mmask16 mask, __m512 row) { _mm512_mask_storeu_ps(out, mask, row); }

void store(std::uint16_t* out, __mmask16 mask, __m512 row) {
  const __m256bh rounded = _mm512_cvtneps_pbh(row);
  _mm256_mask_storeu_epi16(out, mask, (__m256i)rounded);
}

template <typename RowOf>
void gather(const float* x, std::size_t features, std::size_t lanes, RowOf row_of) {
  for (std::size_t lane = 0; lane < lanes; lane += 16) {
    for (std::size_t feature = 0; feature < features; feature += 16) {
      const std::size_t width = least(16, features - feature);
      Block block;
      for (std::size_t i = 0; i < 16; ++i) {
        block.row[i] =
            i < width ? _mm512_loadu_ps(x + (feature + i) * lanes + lane) : _mm512_setzero_ps();
      }
      transpose(block);
      for (std::size_t i = 0; i < 16; ++i) {
        auto* const row = row_of(lane + i);
        if (row != nullptr) store(row + feature, first(width), block.row[i]);
      }
    }
  }
}

// Rows one after another, for the first `batch` lanes.
template <typename T>
auto rows_of(T* x, std::size_t batch, std::size_t stride) {
  return [=](std::size_t lane) { return lane < batch ? x + lane * stride : nullptr; };
}

}  // namespace

void avx512_bf16_to_lanes(const float* x, std::size_t batch, std::size_t features,
                          std::size_t lanes, std::size_t stride, float* out) {
  spread(rows_of(x, batch, stride), features, lanes, out);
}

void avx512_bf16_bf16_to_lanes(const std::uint16_t* x, std::size_t batch, std::size_t features,
                               std::size_t lanes, std::size_t stride, float* out) {
  spread(rows_of(x, batch, stride), features, lanes, out);
}

void avx512_bf16_from_lanes(const float* x, std::size_t batch, std::size_t features,
                            std::size_t lanes, std::size_t stride, float* out) {
  gather(x, features, lanes, rows_of(out, batch, stride));
}

void avx512_bf16_bf16_rows_to_lanes(const std::uint16_t* const* rows, std::size_t features,
                                    std::size_t lanes, float* out) {
  spread([=](std::size_t lane) { return rows[lane]; }, features, lanes, out);
}

void avx512_bf16_bf16_lanes_to_rows(const float* x, std::size_t features, std::size_t lanes,
                                    std::uint16_t* const* rows) {
  gather(x, features, lanes, [=](std::size_t lane) { return rows[lane]; });
}

void avx512_bf16_add_lanes(const float* x, std::size_t rows, std::size_t lanes, float* sums) {
  for (std::size_t row = 0; row < rows; ++row) {
    __m512 sum = _mm512_loadu_ps(sums + row * 16);
    for (std::size_t lane = 0; lane < lanes; lane += 16) {
      sum = _mm512_add_ps(sum, _mm512_loadu_ps(x + row * lanes + lane));
    }
    _mm512_storeu_ps(sums + row * 16, sum);
  }
}

}  // namespace sparsespeech
