// The Python module sparsespeech._native.decoding.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "sparsespeech/decoding/alphabet.h"
#include "sparsespeech/decoding/beam_search.h"
#include "sparsespeech/decoding/greedy.h"
#include "sparsespeech/decoding/lexicon.h"
#include "sparsespeech/decoding/log_add.h"
#include "sparsespeech/decoding/ngram_model.h"
#include "sparsespeech/decoding/transcript.h"
#include "sparsespeech/decoding/word_scorer.h"

namespace nb = nanobind;
namespace decoding = sparsespeech::decoding;

namespace {

using namespace nb::literals;

template <typename T>
using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Scores = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using LevelArrays = std::tuple<Vector<int32_t>, Vector<double>, Vector<double>, Vector<int64_t>>;

template <typename T>
std::span<const T> view(const Vector<T>& array) {
  return {array.data(), array.size()};
}

// An n-gram model that keeps the Python arrays that it reads.
class HeldNgramModel {
 public:
  explicit HeldNgramModel(std::vector<LevelArrays> arrays)
      : arrays_(std::move(arrays)), model_(views(arrays_)) {}

  static std::shared_ptr<const decoding::NgramModel> model(std::shared_ptr<HeldNgramModel> held) {
    return {held, &held->model_};
  }

 private:
  static std::vector<decoding::NgramLevel> views(const std::vector<LevelArrays>& arrays) {
    std::vector<decoding::NgramLevel> levels;
    for (const auto& [word, probability, backoff, child_start] : arrays) {
      levels.push_back({view(word), view(probability), view(backoff), view(child_start)});
    }
    return levels;
  }

  std::vector<LevelArrays> arrays_;
  decoding::NgramModel model_;
};

std::vector<std::u32string> texts(const std::vector<std::vector<uint32_t>>& code_points) {
  std::vector<std::u32string> texts;
  for (const auto& text : code_points) texts.emplace_back(text.begin(), text.end());
  return texts;
}

std::shared_ptr<decoding::Lexicon> make_lexicon(Vector<uint32_t> code_points,
                                                Vector<int64_t> lengths, Vector<int32_t> numbers,
                                                Vector<bool> known, Vector<bool> looked_ahead,
                                                Vector<float> unigrams) {
  const size_t size = lengths.size();
  if (numbers.size() != size || known.size() != size || looked_ahead.size() != size ||
      unigrams.size() != size) {
    throw std::invalid_argument("the arrays of a lexicon must have one entry a word");
  }
  const std::u32string text(code_points.data(), code_points.data() + code_points.size());
  std::vector<decoding::Lexicon::Word> words;
  size_t first = 0;
  for (size_t word = 0; word < size; ++word) {
    const int64_t length = lengths.data()[word];
    if (length < 0 || static_cast<size_t>(length) > text.size() - first ||
        numbers.data()[word] < 0) {
      throw std::invalid_argument("a length or a number of a word is out of range");
    }
    words.push_back({std::u32string_view(text).substr(first, length), numbers.data()[word],
                     known.data()[word], looked_ahead.data()[word], unigrams.data()[word]});
    first += static_cast<size_t>(length);
  }
  return std::make_shared<decoding::Lexicon>(std::move(words));
}

std::shared_ptr<decoding::WordScorer> make_word_scorer(std::shared_ptr<HeldNgramModel> model,
                                                       std::shared_ptr<decoding::Lexicon> lexicon,
                                                       const std::vector<int32_t>& initial_state,
                                                       int32_t unknown, int32_t sentence_end,
                                                       double alpha, double beta,
                                                       double unknown_penalty) {
  decoding::NgramState state;
  if (initial_state.size() > state.size()) {
    throw std::invalid_argument("the initial state is longer than that of any n-gram model");
  }
  state.fill(-1);
  std::copy(initial_state.begin(), initial_state.end(), state.begin());
  return std::make_shared<decoding::WordScorer>(
      HeldNgramModel::model(std::move(model)), std::move(lexicon),
      decoding::WordScorer::Settings{state, unknown, sentence_end, alpha, beta, unknown_penalty});
}

// (score, [(text, first frame, end frame, ln of the confidence), ...]).
nb::tuple to_python(const decoding::Transcript& transcript) {
  nb::list words;
  for (const decoding::TimedWord& word : transcript.words) {
    int order = 0;  // the byte order of this machine
    PyObject* text = PyUnicode_DecodeUTF32(reinterpret_cast<const char*>(word.text.data()),
                                           static_cast<Py_ssize_t>(word.text.size() * 4),
                                           "surrogatepass", &order);
    if (text == nullptr) nb::raise_python_error();
    words.append(nb::make_tuple(nb::steal(text), word.first, word.end, word.log_confidence));
  }
  return nb::make_tuple(transcript.score, words);
}

std::span<const double> rows(const Scores& scores, const decoding::Alphabet& alphabet) {
  if (scores.shape(1) != static_cast<size_t>(alphabet.classes())) {
    throw std::invalid_argument("expected " + std::to_string(alphabet.classes()) +
                                " classes in a frame, got " + std::to_string(scores.shape(1)));
  }
  return {scores.data(), scores.size()};
}

nb::tuple greedy_decode(const decoding::Alphabet& alphabet, const Scores& scores) {
  const std::span<const double> frames = rows(scores, alphabet);
  decoding::Transcript transcript;
  {
    const nb::gil_scoped_release released;
    transcript = decoding::greedy_decode(frames, alphabet);
  }
  return to_python(transcript);
}

// A search that knows its alphabet, to check the frames.
class PythonBeamSearch {
 public:
  PythonBeamSearch(std::shared_ptr<decoding::Alphabet> alphabet,
                   std::shared_ptr<decoding::WordScorer> scorer, int32_t beam_width,
                   double score_threshold)
      : alphabet_(alphabet), search_(alphabet, std::move(scorer), beam_width, score_threshold) {}

  void accept(const Scores& scores) {
    const std::span<const double> frames = rows(scores, *alphabet_);
    const nb::gil_scoped_release released;
    search_.accept(frames);
  }

  nb::tuple partial() const {
    decoding::Transcript transcript;
    {
      const nb::gil_scoped_release released;
      transcript = search_.partial();
    }
    return to_python(transcript);
  }

  nb::list n_best(int32_t count) const {
    std::vector<decoding::Transcript> transcripts;
    {
      const nb::gil_scoped_release released;
      transcripts = search_.n_best(count);
    }
    nb::list found;
    for (const decoding::Transcript& transcript : transcripts) found.append(to_python(transcript));
    return found;
  }

  nb::tuple sizes() const {
    const decoding::BeamSearch::Sizes sizes = search_.sizes();
    return nb::make_tuple(sizes.beam, sizes.prefixes, sizes.links);
  }

 private:
  std::shared_ptr<decoding::Alphabet> alphabet_;
  decoding::BeamSearch search_;
};

}  // namespace

void bind_decoding(nb::module_& native) {
  nb::module_ module = native.def_submodule(
      "decoding", "CTC decoders; sparsespeech.decoding is the interface to use.");
  nb::class_<decoding::Alphabet>(module, "Alphabet", "Symbols in class order, as code points.")
      .def(
          "__init__",
          [](decoding::Alphabet* self, const std::vector<std::vector<uint32_t>>& symbols) {
            new (self) decoding::Alphabet(texts(symbols));
          },
          "symbols"_a);
  nb::class_<HeldNgramModel>(module, "NgramModel", "An n-gram model in the caller's arrays.")
      .def(nb::init<std::vector<LevelArrays>>(), "levels"_a,
           "`levels`: (word, probability, backoff, child_start) of each order.");
  nb::class_<decoding::Lexicon>(module, "Lexicon", "The words of a language model.")
      .def(nb::new_(&make_lexicon), "code_points"_a.noconvert(), "lengths"_a.noconvert(),
           "numbers"_a.noconvert(), "known"_a.noconvert(), "looked_ahead"_a.noconvert(),
           "unigrams"_a.noconvert());
  nb::class_<decoding::WordScorer>(module, "WordScorer", "Language scores of words.")
      .def(nb::new_(&make_word_scorer), "model"_a, "lexicon"_a, nb::kw_only(), "initial_state"_a,
           "unknown"_a, "sentence_end"_a, "alpha"_a, "beta"_a, "unknown_penalty"_a);
  nb::class_<PythonBeamSearch>(module, "BeamSearch", "One utterance under way.")
      .def(nb::init<std::shared_ptr<decoding::Alphabet>, std::shared_ptr<decoding::WordScorer>,
                    int32_t, double>(),
           "alphabet"_a, "scorer"_a.none(), "beam_width"_a, "score_threshold"_a)
      .def("accept", &PythonBeamSearch::accept, "scores"_a.noconvert(),
           "Take the next frames, float64[t, V] in nats, without NaN and +inf.")
      .def("partial", &PythonBeamSearch::partial, "(score, words) of the best text so far.")
      .def("n_best", &PythonBeamSearch::n_best, "count"_a, "The best texts, best first.")
      .def("sizes", &PythonBeamSearch::sizes,
           "Prefixes in the beam, prefixes in the tree, characters of best alignments.");
  module.def("greedy_decode", &greedy_decode, "alphabet"_a, "scores"_a.noconvert(),
             "(score, words) of float64[T, V] in nats, without NaN.");
  module.def("log_add", &decoding::log_add, "x"_a, "y"_a,
             "ln(exp(x) + exp(y)), equal to numpy.logaddexp.");
}
