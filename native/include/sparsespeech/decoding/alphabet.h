// The symbols that a model writes. The CTC blank is the class after the last symbol.

#ifndef SPARSESPEECH_DECODING_ALPHABET_H_
#define SPARSESPEECH_DECODING_ALPHABET_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sparsespeech::decoding {

class Alphabet {
 public:
  // `symbols` in class order; a symbol may have several characters.
  explicit Alphabet(std::vector<std::u32string> symbols) : symbols_(std::move(symbols)) {}

  int32_t blank() const { return static_cast<int32_t>(symbols_.size()); }
  int32_t classes() const { return blank() + 1; }

  // Class of the first space, -1 if there is none.
  int32_t space() const {
    for (int32_t symbol = 0; symbol < blank(); ++symbol) {
      if (is_space(symbol)) return symbol;
    }
    return -1;
  }

  // `symbol` is any class but the blank.
  const std::u32string& text(int32_t symbol) const { return symbols_[symbol]; }
  bool is_space(int32_t symbol) const { return text(symbol) == U" "; }

 private:
  std::vector<std::u32string> symbols_;
};

}  // namespace sparsespeech::decoding

#endif  // SPARSESPEECH_DECODING_ALPHABET_H_
