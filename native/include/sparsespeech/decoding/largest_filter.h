// Choice of the largest values without a change of their order.

#ifndef SPARSESPEECH_DECODING_LARGEST_FILTER_H_
#define SPARSESPEECH_DECODING_LARGEST_FILTER_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <vector>

namespace sparsespeech::decoding {

// Admits the `count` largest of some values; of equal values the first ones. No value is NaN.
class LargestFilter {
 public:
  LargestFilter(std::vector<double> values, size_t count) : equal_(count) {
    if (values.size() <= count) return;
    const auto smallest = values.begin() + static_cast<std::ptrdiff_t>(count) - 1;
    std::nth_element(values.begin(), smallest, values.end(), std::greater<>());
    smallest_ = *smallest;
    // Whatever is larger stands before it now.
    equal_ -= static_cast<size_t>(std::count_if(
        values.begin(), smallest, [this](double value) { return value > smallest_; }));
  }

  // To be asked once for each value, in their order.
  bool admits(double value) {
    if (value > smallest_) return true;
    if (value < smallest_ || equal_ == 0) return false;
    --equal_;
    return true;
  }

 private:
  double smallest_ = -std::numeric_limits<double>::infinity();  // of the largest `count`
  size_t equal_;                                                // admitted ones equal to it
};

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_LARGEST_FILTER_H_
