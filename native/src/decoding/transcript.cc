#include "sparsespeech/decoding/transcript.h"

namespace sparsespeech::decoding {

Transcript transcript_from_spans(std::span<const CharacterSpan> spans, const Alphabet& alphabet,
                                 double score) {
  Transcript transcript{score, {}};
  bool inside_word = false;
  for (const CharacterSpan& span : spans) {
    if (alphabet.is_space(span.symbol)) {
      inside_word = false;
      continue;
    }
    if (!inside_word) transcript.words.push_back({U"", span.first, span.end, 0.0});
    inside_word = true;
    TimedWord& word = transcript.words.back();
    word.text += alphabet.text(span.symbol);
    word.end = span.end;
    word.log_confidence += span.log_peak;
  }
  return transcript;
}

}  // namespace sparsespeech::decoding
