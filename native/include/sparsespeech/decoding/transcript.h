// What a decoder returns: words with their frames and confidence, and a score.

#ifndef SPARSESPEECH_DECODING_TRANSCRIPT_H_
#define SPARSESPEECH_DECODING_TRANSCRIPT_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sparsespeech/decoding/alphabet.h"

namespace sparsespeech::decoding {

// One character of an alignment: frames `first` (included) to `end` (excluded).
struct CharacterSpan {
  int32_t symbol;
  int64_t first;
  int64_t end;
  double log_peak;  // largest log-posterior of the character inside the span, nats
};

// One word: frames `first` (included) to `end` (excluded).
struct TimedWord {
  std::u32string text;
  int64_t first;
  int64_t end;
  double log_confidence;  // sum of the characters' log_peak, nats
};

struct Transcript {
  double score = 0.0;  // nats
  std::vector<TimedWord> words;
};

// Groups characters into words at spaces; leading and repeated spaces vanish.
Transcript transcript_from_spans(std::span<const CharacterSpan> spans, const Alphabet& alphabet,
                                 double score);

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_TRANSCRIPT_H_
