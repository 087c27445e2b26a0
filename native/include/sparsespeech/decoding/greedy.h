// Greedy CTC decoding: the best class of each frame, repeats merged, blanks dropped.

#ifndef SPARSESPEECH_DECODING_GREEDY_H_
#define SPARSESPEECH_DECODING_GREEDY_H_

#include <span>

#include "sparsespeech/decoding/alphabet.h"
#include "sparsespeech/decoding/transcript.h"

namespace sparsespeech::decoding {

// Transcript of `scores` [frames, classes of the alphabet], log-probabilities in nats without NaN;
// of equal classes the first counts. The score is the sum of the frames' best, in their order.
Transcript greedy_decode(std::span<const double> scores, const Alphabet& alphabet);

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_GREEDY_H_
