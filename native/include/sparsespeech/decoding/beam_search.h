// CTC prefix beam search with an n-gram language model fused at word ends.
//
// The numpy search of sparsespeech/decoding/numpy_beam_search.py is the reference: this one does
// the same float64 operations in the same order. All scores are nats.

#ifndef SPARSESPEECH_DECODING_BEAM_SEARCH_H_
#define SPARSESPEECH_DECODING_BEAM_SEARCH_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "sparsespeech/decoding/alignment_links.h"
#include "sparsespeech/decoding/alphabet.h"
#include "sparsespeech/decoding/prefix_tree.h"
#include "sparsespeech/decoding/transcript.h"
#include "sparsespeech/decoding/word_scorer.h"

namespace sparsespeech::decoding {

// One utterance under way. Calls from several threads wait for each other.
class BeamSearch {
 public:
  // `scorer` may be null: the acoustic model alone decides. Prefixes `score_threshold` nats below
  // the best one are dropped. Throws std::invalid_argument for a width below 1 or a threshold
  // that is not at least 0.
  BeamSearch(std::shared_ptr<const Alphabet> alphabet, std::shared_ptr<const WordScorer> scorer,
             int32_t beam_width, double score_threshold);

  // Takes the next frames, log-probabilities [frames, classes] without NaN and +inf; throws
  // std::invalid_argument for those, before any frame is taken.
  void accept(std::span<const double> scores);

  // The best transcript so far; its last word may still grow or change.
  Transcript partial() const;

  // Up to `count` different transcripts if no frame follows, best first.
  std::vector<Transcript> n_best(int32_t count) const;

  // What the search holds at the moment.
  struct Sizes {
    int64_t beam;      // prefixes in the beam
    int64_t prefixes;  // prefixes in the tree
    int64_t links;     // characters of best alignments
  };
  Sizes sizes() const;

 private:
  // A prefix in the beam with the alignments that end in the last frame, which is either the
  // blank or the prefix's last character ("other").
  struct Hypothesis {
    int32_t prefix;
    int32_t symbol;  // the last character; a space for the empty text
    bool is_space;
    int32_t parent_position;  // in the beam, kNone if it is outside
    double fused;             // language score, from the prefix
    double blank;             // ln of the sum over alignments that end in the blank
    double other;             // ... in the last character
    double total;             // ... in either
    double best_blank;        // ln of the best alignment that ends in the blank
    double best_other;        // ... in the last character
    double peak_blank;        // largest log-posterior of the last character there
    double peak_other;
    int64_t end_blank;   // frame after the last character in the best alignment, blank case
    int32_t link_blank;  // beginning of the last character in the best alignments
    int32_t link_other;

    double best() const { return best_blank < best_other ? best_other : best_blank; }
  };

  // A prefix one character longer than one of the beam.
  struct Extension {
    int32_t parent_position;
    int32_t symbol;
    int32_t place;    // in the tree, kNone if it is new
    double reached;   // acoustic score and language score of the parent
    double acoustic;  // acoustic score
  };

  // One frame, [classes].
  void advance(std::span<const double> row);

  // Fills stayed_ with the beam after a frame that adds no character that is not in it already.
  void stay(std::span<const double> row);

  // Adds that the parent may say the last character of `now` in this frame; after the same one
  // only by way of blank. `own`: log-posterior of that character.
  void speak_after(const Hypothesis& parent, double own, Hypothesis& now);

  // The link of a character that begins in this frame after the best alignment of `parent`.
  int32_t begin_character(const Hypothesis& parent, bool repeats);

  // Fills extensions_ with the prefixes outside the beam that reach `floor` before their own
  // language score, at most twice the beam width.
  void find_extensions(std::span<const double> row, double floor);

  // The prefix with one more character.
  Prefix extended(int32_t place, int32_t symbol) const;

  // Chooses the new beam among stayed_ and extensions_.
  void select(std::span<const double> row);
  Hypothesis entered(const Extension& extension, const Prefix& prefix, std::span<const double> row);
  void enter_next_beam();
  void release_links(const Hypothesis& hypothesis);

  // Language score of the prefix as a whole utterance: last word and sentence end included.
  double final_score(const Prefix& prefix) const;

  // Text and frames of one hypothesis.
  Transcript transcript(const Hypothesis& hypothesis, double score) const;

  std::shared_ptr<const Alphabet> alphabet_;
  std::shared_ptr<const WordScorer> scorer_;
  int32_t beam_width_;
  double score_threshold_;
  int32_t space_;
  int64_t frame_ = 0;
  PrefixTree tree_;
  AlignmentLinks links_;
  std::vector<Hypothesis> beam_;
  mutable std::mutex mutex_;

  // Of the frame under way; members so that their memory is used again.
  std::vector<Hypothesis> stayed_;
  std::vector<Hypothesis> next_;
  std::vector<Extension> extensions_;
  std::vector<Prefix> extended_;  // prefixes of extensions_
  std::vector<int32_t> likely_symbols_;
  std::vector<double> scores_;  // of stayed_, then of extensions_
};

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_BEAM_SEARCH_H_
