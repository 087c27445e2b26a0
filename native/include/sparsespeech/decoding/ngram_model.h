// Back-off scoring with an n-gram model whose arrays belong to somebody else.

#ifndef SPARSESPEECH_DECODING_NGRAM_MODEL_H_
#define SPARSESPEECH_DECODING_NGRAM_MODEL_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace sparsespeech::decoding {

inline constexpr int kHighestOrder = 10;

// Larger scores and weights are refused: sums of them must stay finite.
inline constexpr double kLargestScore = 1e6;

// Entry of the last 1, 2, ... words in level 0, 1, ...; -1 where the model has none.
using NgramState = std::array<int32_t, kHighestOrder - 1>;

// The n-grams of one length. Entries are sorted by the entry of their context in the level below
// and then by their last word; the children of entry e are the entries of the next level from
// child_start[e] to child_start[e + 1].
struct NgramLevel {
  std::span<const int32_t> word;         // [M] last word of each entry
  std::span<const double> probability;   // [M] nats
  std::span<const double> backoff;       // [M] nats
  std::span<const int64_t> child_start;  // [M + 1]; of the last level [0]
};

class NgramModel {
 public:
  // Level 0 has one entry a word, in their order. Throws std::invalid_argument for arrays that do
  // not fit each other, so that no lookup can leave them, and for scores beyond kLargestScore.
  explicit NgramModel(std::vector<NgramLevel> levels);

  int order() const { return static_cast<int>(levels_.size()); }
  int64_t words() const { return static_cast<int64_t>(levels_[0].word.size()); }
  bool holds(const NgramState& state) const;

  // Log-probability of `word` after `state` by back-off; `after` becomes the state after it.
  double score(const NgramState& state, int32_t word, NgramState& after) const;

  // Log-probability of `word` without context.
  double unigram(int32_t word) const { return levels_[0].probability[word]; }

 private:
  // Entry of level `level` with the context `context` of the level below and `word`, or -1.
  int32_t child(int level, int32_t context, int32_t word) const;

  std::vector<NgramLevel> levels_;
};

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_NGRAM_MODEL_H_
