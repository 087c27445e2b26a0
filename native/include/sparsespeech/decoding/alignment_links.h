// Where the characters of the best alignments begin and end, as chains that share their tails.

#ifndef SPARSESPEECH_DECODING_ALIGNMENT_LINKS_H_
#define SPARSESPEECH_DECODING_ALIGNMENT_LINKS_H_

#include <cstdint>
#include <vector>

namespace sparsespeech::decoding {

// Begins the last character of an alignment and ends the one before it.
struct AlignmentLink {
  int32_t previous;      // link of the character before, kNoLink if there is none
  int64_t first;         // first frame of this character
  int64_t previous_end;  // frame after the one before
  double previous_peak;  // largest log-posterior of the one before, nats
};

inline constexpr int32_t kNoLink = -1;

// Links by number, counted by their holders: a link without holder is taken again. Counts instead
// of smart pointers, whose release of a long chain would recurse once for each character.
class AlignmentLinks {
 public:
  // A new link with one holder; it becomes a holder of link.previous itself.
  int32_t add(const AlignmentLink& link);

  // One holder more, one less; kNoLink needs none.
  void hold(int32_t number);
  void release(int32_t number);

  const AlignmentLink& operator[](int32_t number) const { return nodes_[number].link; }

  // Links with a holder.
  int64_t size() const { return static_cast<int64_t>(nodes_.size() - free_.size()); }

 private:
  struct Node {
    AlignmentLink link;
    int32_t holders;
  };

  std::vector<Node> nodes_;
  std::vector<int32_t> free_;
};

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_ALIGNMENT_LINKS_H_
