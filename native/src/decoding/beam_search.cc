#include "sparsespeech/decoding/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "sparsespeech/decoding/largest_filter.h"
#include "sparsespeech/decoding/log_add.h"

namespace sparsespeech::decoding {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

}  // namespace

BeamSearch::BeamSearch(std::shared_ptr<const Alphabet> alphabet,
                       std::shared_ptr<const WordScorer> scorer, int32_t beam_width,
                       double score_threshold)
    : alphabet_(std::move(alphabet)),
      scorer_(std::move(scorer)),
      beam_width_(beam_width),
      score_threshold_(score_threshold),
      space_(alphabet_->space()) {
  if (beam_width < 1 || !(score_threshold >= 0.0)) {
    throw std::invalid_argument("beam_width must be at least 1, score_threshold at least 0");
  }
  Prefix root;
  // The empty text behaves like one that ends in a space: spaces add nothing to it.
  root.symbol = space_ >= 0 ? space_ : alphabet_->blank();
  root.state.fill(-1);
  if (scorer_) root.state = scorer_->initial_state();
  Hypothesis silence{};
  silence.prefix = tree_.insert(root);
  silence.symbol = root.symbol;
  silence.is_space = space_ >= 0;
  silence.parent_position = kNone;
  silence.other = silence.best_other = kImpossible;
  silence.link_blank = silence.link_other = kNoLink;
  tree_.set_position(silence.prefix, 0);
  beam_.push_back(silence);
}

void BeamSearch::accept(std::span<const double> scores) {
  const size_t classes = static_cast<size_t>(alphabet_->classes());
  const auto usable = [](double score) { return score < std::numeric_limits<double>::infinity(); };
  if (scores.size() % classes != 0 || !std::all_of(scores.begin(), scores.end(), usable)) {
    throw std::invalid_argument("expected whole frames of log-probabilities below infinity");
  }
  const std::lock_guard lock(mutex_);
  for (; !scores.empty(); scores = scores.subspan(classes)) {
    advance(scores.first(classes));
    ++frame_;
  }
}

void BeamSearch::advance(std::span<const double> row) {
  stay(row);
  double best = kImpossible;
  double worst = std::numeric_limits<double>::infinity();
  scores_.clear();
  for (const Hypothesis& hypothesis : stayed_) {
    const double score = hypothesis.total + hypothesis.fused;
    best = std::max(best, score);
    worst = std::min(worst, score);
    scores_.push_back(score);
  }
  const double floor = best - score_threshold_;
  find_extensions(row, floor);
  if (extensions_.empty() && worst >= floor) {  // the usual case inside silence
    for (const Hypothesis& old : beam_) release_links(old);
    std::swap(beam_, stayed_);
    return;
  }
  select(row);
}

void BeamSearch::stay(std::span<const double> row) {
  const double blank = row[alphabet_->blank()];
  stayed_.clear();
  for (const Hypothesis& old : beam_) {
    const double own = row[old.symbol];
    const bool from_other = old.best_other > old.best_blank;
    Hypothesis& now = stayed_.emplace_back(old);
    now.blank = old.total + blank;
    now.other = (old.is_space ? old.total : old.other) + own;
    now.best_blank = old.best() + blank;
    now.best_other = (old.is_space ? old.best() : old.best_other) + own;
    now.peak_blank = from_other ? old.peak_other : old.peak_blank;
    now.peak_other = std::max(old.peak_other, own);
    now.end_blank = from_other ? frame_ : old.end_blank;
    now.link_blank = from_other ? old.link_other : old.link_blank;
    now.link_other = old.is_space ? now.link_blank : old.link_other;
    links_.hold(now.link_blank);
    links_.hold(now.link_other);
    if (old.parent_position != kNone) speak_after(beam_[old.parent_position], own, now);
    now.total = log_add(now.blank, now.other);
  }
}

void BeamSearch::speak_after(const Hypothesis& parent, double own, Hypothesis& now) {
  const bool repeats = now.symbol == parent.symbol;
  now.other = log_add(now.other, (repeats ? parent.blank : parent.total) + own);
  const double path = (repeats ? parent.best_blank : parent.best()) + own;
  if (path > now.best_other) {
    now.best_other = path;
    now.peak_other = own;
    links_.release(now.link_other);
    now.link_other = begin_character(parent, repeats);
  }
}

int32_t BeamSearch::begin_character(const Hypothesis& parent, bool repeats) {
  if (repeats || parent.best_blank >= parent.best_other) {
    return links_.add({parent.link_blank, frame_, parent.end_blank, parent.peak_blank});
  }
  return links_.add({parent.link_other, frame_, frame_, parent.peak_other});
}

void BeamSearch::find_extensions(std::span<const double> row, double floor) {
  extensions_.clear();
  double furthest = kImpossible;
  for (const Hypothesis& parent : beam_) {
    furthest = std::max(furthest, parent.total + parent.fused);
  }
  likely_symbols_.clear();
  for (int32_t symbol = 0; symbol < alphabet_->blank(); ++symbol) {
    if (furthest + row[symbol] > floor) likely_symbols_.push_back(symbol);
  }
  if (likely_symbols_.empty()) return;
  for (size_t position = 0; position < beam_.size(); ++position) {
    const Hypothesis& parent = beam_[position];
    const double reach = parent.total + parent.fused;
    for (const int32_t symbol : likely_symbols_) {
      double reached = reach + row[symbol];
      if (symbol == parent.symbol) {
        if (parent.is_space) continue;
        reached = parent.blank + parent.fused + row[symbol];
      }
      if (!(reached > floor)) continue;
      const int32_t place = tree_.child(parent.prefix, symbol);
      if (place != kNone && tree_.position(place) != kNone) continue;  // in the beam already
      extensions_.push_back(
          {static_cast<int32_t>(position), symbol, place, reached, reached - parent.fused});
    }
  }
  const size_t most =
      2 * static_cast<size_t>(beam_width_);  // language scores reorder them a little
  if (extensions_.size() <= most) return;
  std::vector<double> values;
  for (const Extension& extension : extensions_) values.push_back(extension.reached);
  LargestFilter filter(std::move(values), most);
  std::erase_if(extensions_,
                [&](const Extension& extension) { return !filter.admits(extension.reached); });
}

Prefix BeamSearch::extended(int32_t place, int32_t symbol) const {
  Prefix prefix = tree_[place];
  const Beginning word = prefix.word;
  prefix.parent = place;
  prefix.symbol = symbol;
  if (alphabet_->is_space(symbol)) {
    prefix.word = Beginning();
    if (scorer_) prefix.finished += scorer_->word(tree_[place].state, word, prefix.state);
    prefix.fused = prefix.finished;
  } else if (scorer_) {
    for (const char32_t character : alphabet_->text(symbol)) {
      prefix.word = scorer_->extended(prefix.word, character);
    }
    prefix.fused = prefix.finished + scorer_->estimate(prefix.word);
  }
  return prefix;
}

void BeamSearch::select(std::span<const double> row) {
  extended_.clear();
  for (const Extension& extension : extensions_) {
    const bool is_new = extension.place == kNone;
    const int32_t parent = beam_[extension.parent_position].prefix;
    extended_.push_back(is_new ? extended(parent, extension.symbol) : tree_[extension.place]);
    scores_.push_back(extension.acoustic + extended_.back().fused);
  }
  const double floor = *std::max_element(scores_.begin(), scores_.end()) - score_threshold_;
  std::vector<double> high_enough;
  for (const double score : scores_) {
    if (score >= floor) high_enough.push_back(score);
  }
  LargestFilter filter(std::move(high_enough), static_cast<size_t>(beam_width_));
  next_.clear();
  for (size_t number = 0; number < scores_.size(); ++number) {
    const bool kept = scores_[number] >= floor && filter.admits(scores_[number]);
    if (number >= stayed_.size()) {
      const size_t extension = number - stayed_.size();
      if (kept) next_.push_back(entered(extensions_[extension], extended_[extension], row));
    } else if (kept) {
      next_.push_back(stayed_[number]);
    } else {
      release_links(stayed_[number]);
    }
  }
  enter_next_beam();
}

BeamSearch::Hypothesis BeamSearch::entered(const Extension& extension, const Prefix& prefix,
                                           std::span<const double> row) {
  const Hypothesis& parent = beam_[extension.parent_position];
  const bool repeats = extension.symbol == parent.symbol;
  Hypothesis hypothesis{};
  hypothesis.prefix = extension.place == kNone ? tree_.insert(prefix) : extension.place;
  hypothesis.symbol = extension.symbol;
  hypothesis.is_space = extension.symbol == space_;
  hypothesis.fused = prefix.fused;
  hypothesis.blank = hypothesis.best_blank = kImpossible;
  hypothesis.other = hypothesis.total = extension.acoustic;
  hypothesis.best_other = (repeats ? parent.best_blank : parent.best()) + row[extension.symbol];
  hypothesis.peak_other = row[extension.symbol];
  hypothesis.link_blank = kNoLink;
  hypothesis.link_other = begin_character(parent, repeats);
  return hypothesis;
}

void BeamSearch::enter_next_beam() {
  std::swap(beam_, next_);
  for (const Hypothesis& old : next_) tree_.set_position(old.prefix, kNone);
  for (size_t position = 0; position < beam_.size(); ++position) {
    tree_.set_position(beam_[position].prefix, static_cast<int32_t>(position));
  }
  for (Hypothesis& hypothesis : beam_) {
    const int32_t parent = tree_[hypothesis.prefix].parent;
    hypothesis.parent_position = parent == kNone ? kNone : tree_.position(parent);
  }
  for (const Hypothesis& old : next_) {
    release_links(old);
    tree_.release(old.prefix);
  }
}

void BeamSearch::release_links(const Hypothesis& hypothesis) {
  links_.release(hypothesis.link_blank);
  links_.release(hypothesis.link_other);
}

Transcript BeamSearch::partial() const {
  const std::lock_guard lock(mutex_);
  const auto score = [](const Hypothesis& hypothesis) {
    return hypothesis.total + hypothesis.fused;
  };
  const auto best = std::max_element(
      beam_.begin(), beam_.end(),
      [&](const Hypothesis& left, const Hypothesis& right) { return score(left) < score(right); });
  return transcript(*best, score(*best));
}

std::vector<Transcript> BeamSearch::n_best(int32_t count) const {
  const std::lock_guard lock(mutex_);
  struct Text {
    double score;
    const Hypothesis* best;  // the one with the best single alignment
  };
  std::vector<Text> texts;
  std::vector<int32_t> places;  // of the texts in the tree
  std::unordered_map<int32_t, size_t> numbers;
  for (const Hypothesis& hypothesis : beam_) {
    int32_t place = hypothesis.prefix;
    const Prefix& prefix = tree_[place];
    if (prefix.symbol == space_ && prefix.parent != kNone) {
      place = prefix.parent;  // a space at the end is no text
    }
    const auto [found, is_new] = numbers.try_emplace(place, texts.size());
    if (is_new) {
      texts.push_back({hypothesis.total, &hypothesis});
      places.push_back(place);
      continue;
    }
    Text& text = texts[found->second];
    text.score = log_add(text.score, hypothesis.total);
    if (hypothesis.best() > text.best->best()) text.best = &hypothesis;
  }
  for (size_t number = 0; number < texts.size(); ++number) {
    texts[number].score += final_score(tree_[places[number]]);
  }
  std::stable_sort(texts.begin(), texts.end(),
                   [](const Text& left, const Text& right) { return left.score > right.score; });
  texts.resize(std::min(texts.size(), static_cast<size_t>(std::max(count, 0))));
  std::vector<Transcript> transcripts;
  for (const Text& text : texts) transcripts.push_back(transcript(*text.best, text.score));
  return transcripts;
}

double BeamSearch::final_score(const Prefix& prefix) const {
  if (!scorer_) return 0.0;
  NgramState state = prefix.state;
  const double word = prefix.word.length ? scorer_->word(prefix.state, prefix.word, state) : 0.0;
  return prefix.finished + word + scorer_->end(state);
}

Transcript BeamSearch::transcript(const Hypothesis& hypothesis, double score) const {
  const bool ends_in_blank = hypothesis.best_blank >= hypothesis.best_other;
  int32_t link = ends_in_blank ? hypothesis.link_blank : hypothesis.link_other;
  int64_t end = ends_in_blank ? hypothesis.end_blank : frame_;
  double peak = ends_in_blank ? hypothesis.peak_blank : hypothesis.peak_other;
  std::vector<CharacterSpan> spans;  // from the last to the first
  for (int32_t place = hypothesis.prefix; link != kNoLink; place = tree_[place].parent) {
    const AlignmentLink& found = links_[link];
    spans.push_back({tree_[place].symbol, found.first, end, peak});
    link = found.previous;
    end = found.previous_end;
    peak = found.previous_peak;
  }
  std::reverse(spans.begin(), spans.end());
  return transcript_from_spans(spans, *alphabet_, score);
}

BeamSearch::Sizes BeamSearch::sizes() const {
  const std::lock_guard lock(mutex_);
  return {static_cast<int64_t>(beam_.size()), tree_.size(), links_.size()};
}

}  // namespace sparsespeech::decoding
