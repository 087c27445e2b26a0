#include "sparsespeech/decoding/alignment_links.h"

namespace sparsespeech::decoding {

int32_t AlignmentLinks::add(const AlignmentLink& link) {
  int32_t number;
  if (free_.empty()) {
    number = static_cast<int32_t>(nodes_.size());
    nodes_.push_back({link, 1});
  } else {
    number = free_.back();
    free_.pop_back();
    nodes_[number] = {link, 1};
  }
  hold(link.previous);
  return number;
}

void AlignmentLinks::hold(int32_t number) {
  if (number != kNoLink) ++nodes_[number].holders;
}

void AlignmentLinks::release(int32_t number) {
  while (number != kNoLink && --nodes_[number].holders == 0) {
    free_.push_back(number);
    number = nodes_[number].link.previous;
  }
}

}  // namespace sparsespeech::decoding
