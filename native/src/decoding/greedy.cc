#include "sparsespeech/decoding/greedy.h"

#include <algorithm>
#include <vector>

namespace sparsespeech::decoding {

Transcript greedy_decode(std::span<const double> scores, const Alphabet& alphabet) {
  const size_t classes = static_cast<size_t>(alphabet.classes());
  const int64_t frames = static_cast<int64_t>(scores.size() / classes);
  std::vector<CharacterSpan> spans;
  double score = 0.0;
  int32_t last = -1;
  for (int64_t frame = 0; frame < frames; ++frame) {
    const auto row = scores.subspan(static_cast<size_t>(frame) * classes, classes);
    const auto best = std::max_element(row.begin(), row.end());
    const int32_t symbol = static_cast<int32_t>(best - row.begin());
    const double peak = *best;
    score += peak;
    if (symbol == alphabet.blank()) {
      last = symbol;
      continue;
    }
    if (symbol == last) {
      spans.back().end = frame + 1;
      spans.back().log_peak = std::max(spans.back().log_peak, peak);
    } else {
      spans.push_back({symbol, frame, frame + 1, peak});
    }
    last = symbol;
  }
  return transcript_from_spans(spans, alphabet, score);
}

}  // namespace sparsespeech::decoding
