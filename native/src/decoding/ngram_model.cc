#include "sparsespeech/decoding/ngram_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

namespace sparsespeech::decoding {
namespace {

void require(bool condition, size_t level, const char* what) {
  if (!condition) {
    throw std::invalid_argument("level " + std::to_string(level) + " of the n-gram model: " + what);
  }
}

bool usable(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(),
                     [](double score) { return std::abs(score) <= kLargestScore; });
}

}  // namespace

NgramModel::NgramModel(std::vector<NgramLevel> levels) : levels_(std::move(levels)) {
  if (levels_.empty() || levels_.size() > kHighestOrder || levels_[0].word.empty()) {
    throw std::invalid_argument("an n-gram model must have 1 to 10 levels, the first not empty");
  }
  for (size_t number = 0; number < levels_.size(); ++number) {
    const NgramLevel& level = levels_[number];
    const size_t entries = level.word.size();
    require(entries < std::numeric_limits<int32_t>::max(), number, "too many n-grams");
    require(level.probability.size() == entries && level.backoff.size() == entries, number,
            "one probability and one back-off weight are needed for each n-gram");
    require(usable(level.probability) && usable(level.backoff), number,
            "a probability or back-off weight is not a number within +-1e6");
    if (number + 1 == levels_.size()) continue;
    const auto starts = level.child_start;
    require(starts.size() == entries + 1 && starts.front() == 0 &&
                std::is_sorted(starts.begin(), starts.end()) &&
                starts.back() == static_cast<int64_t>(levels_[number + 1].word.size()),
            number, "child_start does not divide the next level");
  }
}

bool NgramModel::holds(const NgramState& state) const {
  for (size_t number = 0; number < state.size(); ++number) {
    const bool has_children = number + 1 < levels_.size();
    const int64_t entries = has_children ? static_cast<int64_t>(levels_[number].word.size()) : 0;
    if (state[number] < -1 || state[number] >= entries) return false;
  }
  return true;
}

double NgramModel::score(const NgramState& state, int32_t word, NgramState& after) const {
  const int highest = order() - 1;
  NgramState found_state;
  found_state.fill(-1);
  if (highest > 0) found_state[0] = word;
  double backoff = 0.0;
  double probability = 0.0;
  bool found = false;
  for (int level = highest; level > 0; --level) {
    const int32_t context = state[level - 1];
    if (context < 0) continue;
    const int32_t entry = child(level, context, word);
    if (entry >= 0) {
      if (level < highest) found_state[level] = entry;
      if (!found) probability = levels_[level].probability[entry];
      found = true;
    } else if (!found) {
      backoff += levels_[level - 1].backoff[context];
    }
  }
  after = found_state;
  return backoff + (found ? probability : levels_[0].probability[word]);
}

int32_t NgramModel::child(int level, int32_t context, int32_t word) const {
  const NgramLevel& parents = levels_[level - 1];
  const std::span<const int32_t> words = levels_[level].word;
  const auto end = words.begin() + parents.child_start[context + 1];
  const auto entry = std::lower_bound(words.begin() + parents.child_start[context], end, word);
  return entry != end && *entry == word ? static_cast<int32_t>(entry - words.begin()) : -1;
}

}  // namespace sparsespeech::decoding
