#include "sparsespeech/decoding/lexicon.h"

#include <algorithm>
#include <limits>

namespace sparsespeech::decoding {
namespace {

constexpr float kNoWord = -std::numeric_limits<float>::infinity();

}  // namespace

Lexicon::Lexicon(std::vector<Word> words) {
  std::sort(words.begin(), words.end(),
            [](const Word& left, const Word& right) { return left.text < right.text; });
  for (const Word& word : words) {
    words_end_ = std::max<int64_t>(words_end_, int64_t{word.number} + 1);
  }
  build(words);
  for (size_t node = nodes_.size(); node-- > 0;) {
    Node& parent = nodes_[node];
    for (int32_t number = 0; number < parent.children; ++number) {
      parent.best = std::max(parent.best, nodes_[parent.first_child + number].best);
    }
  }
}

void Lexicon::build(const std::vector<Word>& words) {
  struct Range {
    size_t low, high;  // words below a node
    size_t depth;      // characters that they share
  };
  std::vector<Range> ranges{{0, words.size(), 0}};  // of the nodes, breadth first
  nodes_.push_back({0, 0, 0, -1, kNoWord, false});
  for (size_t node = 0; node < nodes_.size(); ++node) {
    auto [low, high, depth] = ranges[node];
    // A word that ends here comes before all longer ones.
    for (; low < high && words[low].text.size() == depth; ++low) {
      const Word& word = words[low];
      nodes_[node].word = word.number;
      nodes_[node].known = word.known;
      if (word.looked_ahead) nodes_[node].best = word.unigram;
    }
    nodes_[node].first_child = static_cast<int32_t>(nodes_.size());
    while (low < high) {
      const char32_t character = words[low].text[depth];
      const size_t first = low;
      while (low < high && words[low].text[depth] == character) ++low;
      nodes_.push_back({character, 0, 0, -1, kNoWord, false});
      ranges.push_back({first, low, depth + 1});
      ++nodes_[node].children;
    }
  }
}

int32_t Lexicon::child(int32_t node, char32_t character) const {
  if (node == kNothing) return kNothing;
  const auto first = nodes_.begin() + nodes_[node].first_child;
  const auto end = first + nodes_[node].children;
  const auto found =
      std::lower_bound(first, end, character,
                       [](const Node& child, char32_t sought) { return child.character < sought; });
  const bool exists = found != end && found->character == character;
  return exists ? static_cast<int32_t>(found - nodes_.begin()) : kNothing;
}

float Lexicon::best(int32_t node) const { return node == kNothing ? kNoWord : nodes_[node].best; }

int32_t Lexicon::word(int32_t node) const { return node == kNothing ? -1 : nodes_[node].word; }

bool Lexicon::known(int32_t node) const { return node != kNothing && nodes_[node].known; }

}  // namespace sparsespeech::decoding
