// What this processor could do at best: micro-benchmarks that the measured kernels are held
// against. They run in the process of the benchmark, moments before or after it.

#ifndef SPARSESPEECH_LIMITS_H_
#define SPARSESPEECH_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sparsespeech {

// The inner loops of one instruction set. Each returns a value that depends on all its work, so
// that no compiler can drop any of it.
struct LimitLoops {
  // Reads `lines` cache lines of 64 bytes, in order, with the widest loads.
  std::uint64_t (*read_lines)(const std::uint8_t* data, std::size_t lines);

  // `blocks` times `products_of_block` products of an activation and a weight, added to int32
  // sums, all operands in registers.
  std::uint64_t (*multiply)(std::size_t blocks);

  // The same, each activation picked from registers by an index first: the inner loop of a sparse
  // product without its loads.
  std::uint64_t (*pick_and_multiply)(std::size_t blocks);

  std::size_t products_of_block;
};

// scalar: one product an instruction. avx2: 16-bit products (vpmaddwd), bytes picked by vpshufb.
// avx512: vpdpbusd, bytes picked by vpermi2b.
const LimitLoops& scalar_limit_loops();
const LimitLoops& avx2_limit_loops();
const LimitLoops& avx512_limit_loops();

// Each takes a name of instruction_sets() ("amx" has the loops of "avx512") and runs on `threads`
// threads at once for about `seconds`, several times; the best run counts. Throws
// std::invalid_argument for a set that this processor lacks, for no threads and for no seconds.

// Bytes a second that all threads together read, each over and over from its own `bytes`
// (rounded up to cache lines).
double read_bandwidth(std::string_view instruction_set, std::size_t bytes, std::size_t threads,
                      double seconds);

// Products a second of all threads together.
double multiply_rate(std::string_view instruction_set, std::size_t threads, double seconds);
double pick_and_multiply_rate(std::string_view instruction_set, std::size_t threads,
                              double seconds);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_LIMITS_H_
