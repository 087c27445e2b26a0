// What a language model adds to the score of a word in the beam search.

#ifndef SPARSESPEECH_DECODING_WORD_SCORER_H_
#define SPARSESPEECH_DECODING_WORD_SCORER_H_

#include <cstdint>
#include <memory>

#include "sparsespeech/decoding/lexicon.h"
#include "sparsespeech/decoding/ngram_model.h"

namespace sparsespeech::decoding {

// The characters of a word so far.
struct Beginning {
  int32_t node = Lexicon::kRoot;  // of the lexicon
  int32_t length = 0;             // characters
};

// Scores in nats, to be added to acoustic log-probabilities: a finished word adds
// alpha * ln P(word | words before it) + beta, less unknown_penalty for each character of a word
// that the model does not know.
class WordScorer {
 public:
  struct Settings {
    NgramState initial_state;  // before the first word
    int32_t unknown;           // number of <unk>
    int32_t sentence_end;      // number of </s>, -1 if the model has none
    double alpha;
    double beta;
    double unknown_penalty;
  };

  // Throws std::invalid_argument if the lexicon or the settings name a word or an entry that the
  // model does not have, or a weight is beyond kLargestScore.
  WordScorer(std::shared_ptr<const NgramModel> model, std::shared_ptr<const Lexicon> lexicon,
             const Settings& settings);

  const NgramState& initial_state() const { return settings_.initial_state; }

  // The beginning with one more character.
  Beginning extended(Beginning beginning, char32_t character) const;

  // Score of a finished word; `after` becomes the state after it.
  double word(const NgramState& state, Beginning finished, NgramState& after) const;

  // Score that a word is expected to get of which only the beginning is known.
  double estimate(Beginning beginning) const;

  // Score of the end of the utterance.
  double end(const NgramState& state) const;

 private:
  std::shared_ptr<const NgramModel> model_;
  std::shared_ptr<const Lexicon> lexicon_;
  Settings settings_;
};

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_WORD_SCORER_H_
