#include "sparsespeech/decoding/word_scorer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

namespace sparsespeech::decoding {

WordScorer::WordScorer(std::shared_ptr<const NgramModel> model,
                       std::shared_ptr<const Lexicon> lexicon, const Settings& settings)
    : model_(std::move(model)), lexicon_(std::move(lexicon)), settings_(settings) {
  const int64_t words = model_->words();
  if (lexicon_->words_end() > words || settings.unknown < 0 || settings.unknown >= words ||
      settings.sentence_end < -1 || settings.sentence_end >= words ||
      !model_->holds(settings.initial_state)) {
    throw std::invalid_argument("a word or the initial state is not part of the n-gram model");
  }
  for (const double weight : {settings.alpha, settings.beta, settings.unknown_penalty}) {
    if (!(std::abs(weight) <= kLargestScore)) {
      throw std::invalid_argument("alpha, beta and unknown_penalty must be within +-1e6");
    }
  }
}

Beginning WordScorer::extended(Beginning beginning, char32_t character) const {
  return {lexicon_->child(beginning.node, character), beginning.length + 1};
}

double WordScorer::word(const NgramState& state, Beginning finished, NgramState& after) const {
  const int32_t number = lexicon_->word(finished.node);
  const double log_probability =
      model_->score(state, number < 0 ? settings_.unknown : number, after);
  const double score = settings_.alpha * log_probability + settings_.beta;
  if (lexicon_->known(finished.node)) return score;
  return score - settings_.unknown_penalty * finished.length;
}

double WordScorer::estimate(Beginning beginning) const {
  const double unknown = settings_.alpha * model_->unigram(settings_.unknown) -
                         settings_.unknown_penalty * beginning.length + settings_.beta;
  const float best = lexicon_->best(beginning.node);
  // Not -inf * alpha: that is no number for an alpha of 0.
  if (best == -std::numeric_limits<float>::infinity()) return unknown;
  return std::max(settings_.alpha * double{best} + settings_.beta, unknown);
}

double WordScorer::end(const NgramState& state) const {
  if (settings_.sentence_end < 0) return 0.0;
  NgramState after;
  return settings_.alpha * model_->score(state, settings_.sentence_end, after);
}

}  // namespace sparsespeech::decoding
