// Prefixes of a beam search as a tree of characters.

#ifndef SPARSESPEECH_DECODING_PREFIX_TREE_H_
#define SPARSESPEECH_DECODING_PREFIX_TREE_H_

#include <cstdint>
#include <vector>

#include "sparsespeech/decoding/ngram_model.h"
#include "sparsespeech/decoding/word_scorer.h"

namespace sparsespeech::decoding {

inline constexpr int32_t kNone = -1;

// A text: one character appended to a parent prefix. The root is the empty text.
struct Prefix {
  int32_t parent = kNone;  // in the tree
  int32_t symbol = kNone;  // class of the last character
  Beginning word;          // characters since the last space
  NgramState state;        // of the language model, after the finished words
  double finished = 0.0;   // score of the finished words, nats
  double fused = 0.0;      // ... plus the estimate for the word under way
};

// Holds the prefixes in the beam and those that lead to one; places of released ones are taken
// again, so that the memory of a stream does not hold what the search gave up.
class PrefixTree {
 public:
  // Enters a prefix that is not in the tree, below its parent. Returns its place.
  int32_t insert(const Prefix& prefix);

  // The child of `parent` with `symbol`, kNone if the tree does not have it.
  int32_t child(int32_t parent, int32_t symbol) const;

  // Takes a prefix that left the beam out, with ancestors that nobody needs.
  void release(int32_t place);

  const Prefix& operator[](int32_t place) const { return nodes_[place].prefix; }

  // Place of the prefix in the beam, kNone outside.
  int32_t position(int32_t place) const { return nodes_[place].position; }
  void set_position(int32_t place, int32_t position) { nodes_[place].position = position; }

  // Prefixes in the tree.
  int64_t size() const { return static_cast<int64_t>(nodes_.size() - free_.size()); }

 private:
  struct Node {
    Prefix prefix;
    int32_t first_child = kNone;
    int32_t next_sibling = kNone;
    int32_t position = kNone;
    bool in_tree = true;
  };

  // Takes `place` out of the children of `parent`.
  void unlink(int32_t parent, int32_t place);

  std::vector<Node> nodes_;
  std::vector<int32_t> free_;
};

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_PREFIX_TREE_H_
