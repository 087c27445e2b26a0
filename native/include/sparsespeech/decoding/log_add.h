// Sums of probabilities that are given as logarithms.

#ifndef SPARSESPEECH_DECODING_LOG_ADD_H_
#define SPARSESPEECH_DECODING_LOG_ADD_H_

#include <cmath>
#include <numbers>

namespace sparsespeech::decoding {

// ln(exp(x) + exp(y)) by the formula of numpy.logaddexp, which calls exp and log1p of the same C
// library: the scores of both decoders are equal to the last bit. Neither x nor y is NaN or +inf.
inline double log_add(double x, double y) {
  if (x == y) return x + std::numbers::ln2;  // -inf twice too
  if (x > y) return x + std::log1p(std::exp(y - x));
  return y + std::log1p(std::exp(x - y));
}

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_LOG_ADD_H_
