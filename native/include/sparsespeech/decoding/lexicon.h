// The words of a language model as a tree of characters.
//
// Each node knows the best unigram of the words below it, the look-ahead of the search: a word's
// language score is charged, as far as it is known, with its first letters.

#ifndef SPARSESPEECH_DECODING_LEXICON_H_
#define SPARSESPEECH_DECODING_LEXICON_H_

#include <cstdint>
#include <string_view>
#include <vector>

namespace sparsespeech::decoding {

class Lexicon {
 public:
  struct Word {
    std::u32string_view text;
    int32_t number;     // in the language model
    bool known;         // not one of the special words
    bool looked_ahead;  // counts for `best`
    float unigram;      // nats
  };

  static constexpr int32_t kNothing = -1;  // the node of a beginning that no word has
  static constexpr int32_t kRoot = 0;      // the node of the empty beginning

  // The texts are needed during construction only.
  explicit Lexicon(std::vector<Word> words);

  // The node after one more character; kNothing stays kNothing.
  int32_t child(int32_t node, char32_t character) const;

  // Largest unigram of the looked-ahead words below `node`; -inf if there is none.
  float best(int32_t node) const;

  // Number of the word that ends at `node`, -1 if none does.
  int32_t word(int32_t node) const;

  // Whether a word ends at `node` that is not a special one.
  bool known(int32_t node) const;

  // One above the largest word number.
  int64_t words_end() const { return words_end_; }

 private:
  // Nodes in order of depth: the children of a node are neighbours, sorted by character.
  struct Node {
    char32_t character;
    int32_t first_child;
    int32_t children;
    int32_t word;
    float best;
    bool known;
  };

  // Makes the nodes of sorted words, without the `best` of what is below them.
  void build(const std::vector<Word>& words);

  std::vector<Node> nodes_;
  int64_t words_end_ = 0;
};

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_LEXICON_H_
