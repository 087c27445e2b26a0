// Training of sparse recurrent networks: products that skip pruned weights, and an LSTM with the
// loop over time inside.
//
// Axes: T steps, B utterances, L lanes (B rounded up to whole registers of 16), F features,
// R rows and C columns of a matrix, H cells of one LSTM direction; gate order i, f, g, o.
// Activations lie as float32[T][F][L], so that one weight meets all utterances of a step in whole
// registers. Lanes beyond B are zero on input and hold nothing of meaning on output.
//
// This is float arithmetic: it need not give the bits of another implementation. Every function
// but training_available() needs it to be true. They throw std::bad_alloc where memory is short.

#ifndef SPARSESPEECH_TRAINING_H_
#define SPARSESPEECH_TRAINING_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace sparsespeech {

inline constexpr std::size_t kLanesOfRegister = 16;
inline constexpr std::size_t kMostLanes = 64;

// Whether this processor has the kernels: AVX-512 with BF16.
bool training_available();

// The instruction set of the kernels in use, null where there are none.
const char* training_kernel_set();

// Nonzeros of [R][C] row by row: those of row r are first[r] .. first[r + 1] - 1.
struct SparseRows {
  std::span<const std::int32_t> first;    // [R + 1]
  std::span<const std::int32_t> columns;  // [nonzeros]
  const float* values = nullptr;          // [nonzeros]; null where only the pattern matters

  std::size_t rows() const { return first.size() - 1; }
};

struct Steps {
  std::size_t steps, lanes;
};

// out[t][f][l] = x[t][l][f] for l < B, else 0; and back. Rows of x are `stride` values apart.
void to_lanes(const float* x, std::size_t batch, std::size_t features, Steps shape,
              std::size_t stride, float* out);
void to_lanes(const std::uint16_t* bf16, std::size_t batch, std::size_t features, Steps shape,
              std::size_t stride, float* out);
void from_lanes(const float* x, std::size_t batch, std::size_t features, Steps shape,
                std::size_t stride, float* out);

// The same between [T][F][L] and the rows of real frames alone: of step t those of the utterances l
// with t < lengths[l], in the order of t, then l. Lanes without a row become 0, and are left out.
void rows_to_lanes(const std::uint16_t* bf16, std::size_t features, const std::int32_t* lengths,
                   Steps shape, float* out);
void lanes_to_rows(const float* x, std::size_t features, const std::int32_t* lengths, Steps shape,
                   std::uint16_t* bf16);

// out[t] = W x[t] + bias for x [T][C][L], out [T][R][L]; `bias` [R] may be null. With `bfloat16`
// x is rounded to bf16 first (never the weights); with `add`, out[t] += W x[t] + bias.
void sparse_product(const SparseRows& matrix, const float* bias, const float* x,
                    std::size_t columns, Steps shape, bool bfloat16, bool add, float* out);

// out[n] = sum over t and l of g[t][row of n][l] * x[t][column of n][l]: the gradient of every
// nonzero, in the order of `pattern`. With `bfloat16` the factors are rounded to bf16 first.
void sparse_gradient(const SparseRows& pattern, const float* g, const float* x, std::size_t columns,
                     Steps shape, bool bfloat16, float* out);

// The recurrent matrix of an LSTM direction: either the nonzeros, or all weights rounded to bf16.
struct RecurrentMatrix {
  const SparseRows* sparse = nullptr;
  const std::uint16_t* dense = nullptr;  // bf16 [R][C] row by row, C even
  bool bfloat16 = true;                  // of the sparse product: round activations to bf16
};

// Utterance l has frames at the steps below lengths[l] (0 for lanes beyond B).
struct LstmShape {
  std::size_t steps, cells, lanes;
  const std::int32_t* lengths = nullptr;  // [L]
  bool reverse = false;                   // from the last step to the first
};

// Step sizes of fixed-point retraining, 0 for none: both parts of the gates' sums, the cell and
// the output are rounded half up to multiples and saturated at +-16, +-16 and [-128, 127] / 127.
struct LstmRounding {
  float gates = 0, cell = 0, hidden = 0;
};

// One direction forward. `gates` [T][4H][L] holds W_x x and receives the gates after their
// non-linearities; `bias` is [4H]; `cell` and `hidden` [T][H][L] receive c and h, zero where there
// is no frame.
void lstm_forward(const LstmShape& shape, const RecurrentMatrix& recurrent, const float* bias,
                  const LstmRounding& rounding, float* gates, float* cell, float* hidden);

// One direction backward. `transposed` is the recurrent matrix as [H][4H]; `grad_hidden` [T][H][L]
// is the gradient of the output; `gates` and `cell` as lstm_forward left them. `gates` receives
// the gradients of the gates before their non-linearities, `grad_bias` [4H] their sums over steps
// and lanes. No gradient passes a saturated cell; that none passes a saturated input part of a gate
// either is left to the caller.
void lstm_backward(const LstmShape& shape, const RecurrentMatrix& transposed,
                   const LstmRounding& rounding, const float* grad_hidden, const float* cell,
                   float* gates, float* grad_bias);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_TRAINING_H_
