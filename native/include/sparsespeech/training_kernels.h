// The kernels under sparsespeech/training.h, one set a processor. No memory is taken here.
//
// Axes as in training.h.

#ifndef SPARSESPEECH_TRAINING_KERNELS_H_
#define SPARSESPEECH_TRAINING_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "sparsespeech/training.h"

namespace sparsespeech {

// Values of one column or row that a sparse product or gradient keeps in registers at once.
inline constexpr std::size_t kBlockValues = 64;
inline constexpr std::size_t kChunkFloats = 128;

struct TrainingKernels {
  const char* name;  // of the instruction set

  // As the functions of training.h, of one step each.
  void (*to_lanes)(const float* x, std::size_t batch, std::size_t features, std::size_t lanes,
                   std::size_t stride, float* out);
  void (*bf16_to_lanes)(const std::uint16_t* x, std::size_t batch, std::size_t features,
                        std::size_t lanes, std::size_t stride, float* out);
  void (*from_lanes)(const float* x, std::size_t batch, std::size_t features, std::size_t lanes,
                     std::size_t stride, float* out);
  // `rows` [lanes], null where a lane has none.
  void (*bf16_rows_to_lanes)(const std::uint16_t* const* rows, std::size_t features,
                             std::size_t lanes, float* out);
  void (*bf16_lanes_to_rows)(const float* x, std::size_t features, std::size_t lanes,
                             std::uint16_t* const* rows);

  // sums[r][0..15] += x[r][l] over every 16th lane.
  void (*add_lanes)(const float* x, std::size_t rows, std::size_t lanes, float* sums);

  // sparse_product of steps that together hold at most kBlockValues lanes; `packed` is room for
  // columns * kBlockValues floats.
  void (*sparse_product)(const SparseRows& matrix, const float* bias, const float* x,
                         std::size_t columns, Steps shape, bool bfloat16, bool add, float* packed,
                         float* out);

  // out += W x of one step for W bf16 [R][C], C even; `pairs` is room for C / 2 * lanes words.
  void (*dense_product)(const std::uint16_t* matrix, std::size_t rows, std::size_t columns,
                        const float* x, std::size_t lanes, std::uint32_t* pairs, float* out);

  // The steps of one chunk, repacked for sparse_gradient: [rows][kChunkFloats]. A chunk holds
  // kChunkFloats lanes, with `bfloat16` twice as many.
  void (*pack_chunk)(const float* x, std::size_t rows, Steps shape, bool bfloat16, float* out);

  // out[n] += gradient of nonzero n over one chunk.
  void (*sparse_gradient)(const SparseRows& pattern, const float* g, const float* x, bool bfloat16,
                          float* out);

  // One step of lstm_forward: all arrays are those of the step. `recurrent` [4H][L] is W_h h where
  // rounding wants it apart, else null and contained in `gates`; `before` is the old cell or null.
  void (*lstm_step_forward)(const LstmShape& shape, const LstmRounding& rounding, std::size_t step,
                            const float* bias, const float* recurrent, const float* before,
                            float* gates, float* cell, float* hidden);

  // One step of lstm_backward. `carried` [H][L] is the gradient of the cell from the step after
  // and receives that for the step before; `grad_hidden` that of h, the recurrent part included.
  void (*lstm_step_backward)(const LstmShape& shape, const LstmRounding& rounding, std::size_t step,
                             const float* before, const float* cell, const float* grad_hidden,
                             float* carried, float* gates);
};

// The kernels of this processor, or null where it has none.
const TrainingKernels* training_kernels();

}  // namespace sparsespeech

#endif  // SPARSESPEECH_TRAINING_KERNELS_H_
