#include "sparsespeech/decoding/prefix_tree.h"

namespace sparsespeech::decoding {

int32_t PrefixTree::insert(const Prefix& prefix) {
  int32_t place;
  if (free_.empty()) {
    place = static_cast<int32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    place = free_.back();
    free_.pop_back();
    nodes_[place] = Node();
  }
  Node& node = nodes_[place];
  node.prefix = prefix;
  if (prefix.parent != kNone) {
    Node& parent = nodes_[prefix.parent];
    node.next_sibling = parent.first_child;
    parent.first_child = place;
  }
  return place;
}

int32_t PrefixTree::child(int32_t parent, int32_t symbol) const {
  int32_t place = nodes_[parent].first_child;
  while (place != kNone && nodes_[place].prefix.symbol != symbol) {
    place = nodes_[place].next_sibling;
  }
  return place;
}

void PrefixTree::release(int32_t place) {
  // A descendant that left in the same frame may have released this one already.
  while (nodes_[place].in_tree && nodes_[place].first_child == kNone &&
         nodes_[place].position == kNone && nodes_[place].prefix.parent != kNone) {
    const int32_t parent = nodes_[place].prefix.parent;
    unlink(parent, place);
    nodes_[place].in_tree = false;
    free_.push_back(place);
    place = parent;
  }
}

void PrefixTree::unlink(int32_t parent, int32_t place) {
  int32_t* link = &nodes_[parent].first_child;
  while (*link != place) link = &nodes_[*link].next_sibling;
  *link = nodes_[place].next_sibling;
}

}  // namespace sparsespeech::decoding
