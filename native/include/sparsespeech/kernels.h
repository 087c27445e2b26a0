// The kernels of one instruction set, and how the engine chooses them.
//
// Every function gives the integers of src/sparsespeech/integer_arithmetic/spec.md on every
// instruction set; rule numbers refer to it. Accumulators are int32 and never overflow (R3).
//
// Axes: R rows or S slots of a packed matrix, C columns, N values of one row or column,
// H units of one part of an LSTM direction; tiles have 64 columns (kTileColumns).

#ifndef SPARSESPEECH_KERNELS_H_
#define SPARSESPEECH_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "sparsespeech/dense_matrix.h"
#include "sparsespeech/integer_model.h"
#include "sparsespeech/quad_matrix.h"
#include "sparsespeech/sweep_matrix.h"

namespace sparsespeech {

inline constexpr std::size_t kRowsOfBlock = 32;  // rows that the engine asks a matmul for at once

// Rule R4 for N values: `multiplier[i * stride]`, `shift[i * stride]`; stride 0 is one pair for
// all.
struct Rescale {
  const std::int32_t* multiplier = nullptr;
  const std::int32_t* shift = nullptr;
  std::size_t stride = 0;

  Rescale from(std::size_t first) const {
    return {multiplier + first * stride, shift + first * stride, stride};
  }
};

// Rule R4, last part: y = clamp(R4'(acc) + zero_point, low, high).
struct Clamp {
  std::int32_t zero_point = 0, low = 0, high = 255;
};

// Rule R5 with peephole weights, for the units of one part: [3][H] in the order i, f, o.
struct Peephole {
  const std::int16_t* input = nullptr;  // null: the layer has none
  const std::int16_t* forget = nullptr;
  const std::int16_t* output = nullptr;
  Rescale rescale;
};

// Through a matrix from its first or its last slot. A matrix larger than the second-level cache is
// read faster if each pass starts with what the pass before read last.
enum class SweepOrder { kForward, kBackward };

struct Kernels {
  const char* name;

  // Columns of the window that sweeps fastest (SweepShape), where there is sweep_product.
  std::size_t sweep_window;

  // acc[s] = bias[s] + sum of w * x over the row of slot s (R3), for all slots of `matrix`.
  // `copies` is load_window_copies(x). Null where the instruction set has no byte permute.
  void (*sweep_product)(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                        std::int32_t* acc);

  // sweep_product and gate_sums in one: the sums are scattered while the matrix still streams in.
  void (*sweep_gate_sums)(const SweepMatrix& matrix, SweepOrder order, const std::uint8_t* copies,
                          const std::int16_t* stored, Rescale rescale,
                          const std::uint16_t* destination, std::int32_t* sums);

  // The same for rows `first` to `last` of a quad or dense matrix and one plain vector x[C]
  // (dense: x readable up to matrix.stride). acc[0] belongs to row `first`.
  void (*quad_product)(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                       const std::uint8_t* x, std::int32_t* acc);
  void (*dense_product)(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                        const std::uint8_t* x, std::int32_t* acc);

  // The same for 64 input vectors: x is [C][64], acc is [last - first][64] (R3), at most
  // kRowsOfBlock rows. dense: x holds matrix.stride rows.
  void (*quad_tile_product)(const QuadMatrix& matrix, std::size_t first, std::size_t last,
                            const std::uint8_t* x, std::int32_t* acc);
  void (*dense_tile_product)(const DenseMatrix& matrix, std::size_t first, std::size_t last,
                             const std::uint8_t* x, std::int32_t* acc);

  // y[i] = clamp(R4'(acc[i]) + zero_point, low, high) for N values (R4).
  void (*requantize)(const std::int32_t* acc, std::size_t count, Rescale rescale, Clamp clamp,
                     std::uint8_t* y);

  // y[n * stride + r] = saturate16(R4'(acc[r * 64 + n])), the stored input part of R5, for `rows`
  // rows (at most kRowsOfBlock, one rescale entry each) and the first `columns` of 64 columns.
  void (*store_gates)(const std::int32_t* acc, std::size_t rows, Rescale rescale,
                      std::size_t columns, std::size_t stride, std::int16_t* y);

  // sums[destination[i]] = stored[i] + R4'(acc[i]) for N slots (R5 before peephole and
  // saturation; fits int32). Destinations are distinct; `count` is a multiple of 16.
  void (*gate_sums)(const std::int32_t* acc, const std::int16_t* stored, std::size_t count,
                    Rescale rescale, const std::uint16_t* destination, std::int32_t* sums);

  // Rules R5 (saturation, peephole), R6, R7 and R8 for H units: sums is [4][stride], the gates
  // i, f, g, o; cell (Q4.11) is read and written, h (uint8, zero point 128) is written.
  void (*lstm_cell)(const std::int32_t* sums, std::size_t stride, std::size_t units,
                    const Peephole& peephole, const SigmoidTable& table, std::int16_t* cell,
                    std::uint8_t* h);

  // y[n * stride + r] = acc[r * 64 + n] for `rows` rows (at most kRowsOfBlock) and 64 columns.
  void (*transpose_block)(const std::int32_t* acc, std::size_t rows, std::size_t stride,
                          std::int32_t* y);

  // Input vectors to a tile: y[c * 64 + n] = x[n][c], C values of `count` (at most 64) vectors;
  // columns from `count` on become 0.
  void (*fill_tile)(const std::uint8_t* const* x, std::size_t count, std::size_t values,
                    std::uint8_t* y);

  // And back: y[n][c] = x[c * 64 + n] for the first `count` columns of a tile.
  void (*drain_tile)(const std::uint8_t* x, std::size_t count, std::size_t values,
                     std::uint8_t* const* y);
};

// One set an instruction set; a set takes from the one below it what it has no better kernel for.
// Only sets of instruction_sets() may run.
const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& amx_kernels();

}  // namespace sparsespeech

#endif  // SPARSESPEECH_KERNELS_H_
