// The decoders' own invariants, to be run under sanitizers; that their results are those of the
// numpy decoders is tested from Python.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "sparsespeech/decoding/beam_search.h"
#include "sparsespeech/decoding/greedy.h"
#include "sparsespeech/decoding/largest_filter.h"

namespace sparsespeech::decoding {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "decoding_test: %s\n", what);
  std::exit(1);
}

std::shared_ptr<const Alphabet> alphabet_of(const std::u32string& characters) {
  std::vector<std::u32string> symbols;
  for (const char32_t character : characters) symbols.emplace_back(1, character);
  return std::make_shared<const Alphabet>(symbols);
}

// Random log-probabilities with ties and impossible classes, [frames, classes].
std::vector<double> random_scores(std::mt19937& random, size_t frames, int classes) {
  std::vector<double> scores(frames * static_cast<size_t>(classes));
  for (double& score : scores) {
    const unsigned level = random() % 16;
    score = level == 0 ? kImpossible : -0.5 * level;
  }
  return scores;
}

// The words "a", "ab" and <unk> with one pair, in arrays that end where they end: a read beyond
// them is an error of the address sanitizer.
struct SmallModel {
  std::vector<int32_t> word0{0, 1, 2}, word1{1};
  std::vector<double> probability0{-1.0, -2.0, -3.0}, probability1{-0.5};
  std::vector<double> backoff0{-0.25, 0.0, 0.0}, backoff1{0.0};
  std::vector<int64_t> child_start{0, 1, 1, 1};

  std::shared_ptr<const WordScorer> scorer() const {
    auto model = std::make_shared<const NgramModel>(std::vector<NgramLevel>{
        {word0, probability0, backoff0, child_start}, {word1, probability1, backoff1, {}}});
    auto lexicon = std::make_shared<const Lexicon>(std::vector<Lexicon::Word>{
        {U"a", 0, true, true, -1.0F}, {U"ab", 1, true, true, -2.0F}, {U"", 2, false, false, 0.0F}});
    NgramState start;
    start.fill(-1);
    return std::make_shared<const WordScorer>(model, lexicon,
                                              WordScorer::Settings{start, 2, -1, 0.75, 1.0, 2.0});
  }
};

bool equal(const std::vector<Transcript>& left, const std::vector<Transcript>& right) {
  const auto same_word = [](const TimedWord& a, const TimedWord& b) {
    return a.text == b.text && a.first == b.first && a.end == b.end &&
           a.log_confidence == b.log_confidence;
  };
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [&](const Transcript& a, const Transcript& b) {
                      return a.score == b.score &&
                             std::equal(a.words.begin(), a.words.end(), b.words.begin(),
                                        b.words.end(), same_word);
                    });
}

// Any chunking gives the same transcripts, words lie in order inside the utterance.
void test_searches(std::mt19937& random) {
  const SmallModel model;
  for (const std::u32string characters : {U"a", U" ", U" ab", U"ab c"}) {
    const auto alphabet = alphabet_of(characters);
    const auto classes = static_cast<size_t>(alphabet->classes());
    for (const int32_t width : {1, 2, 7, 50}) {
      for (const bool fused : {false, true}) {
        const auto scorer = fused ? model.scorer() : nullptr;
        const size_t frames = random() % 60;
        const std::vector<double> scores = random_scores(random, frames, alphabet->classes());
        BeamSearch whole(alphabet, scorer, width, 12.0), chunked(alphabet, scorer, width, 12.0);
        whole.accept(scores);
        for (size_t frame = 0; frame < frames; ++frame) {
          chunked.accept(std::span(scores).subspan(frame * classes, classes));
          chunked.partial();
        }
        const std::vector<Transcript> found = whole.n_best(1000);
        check(equal(found, chunked.n_best(1000)), "chunking changes the transcripts");
        check(!found.empty() && whole.n_best(-1).empty(), "wrong number of transcripts");
        int64_t end = 0;
        for (const TimedWord& word : found[0].words) {
          check(word.first >= end && word.end > word.first, "words overlap");
          end = word.end;
        }
        check(end <= static_cast<int64_t>(frames), "a word ends after the utterance");
        greedy_decode(scores, *alphabet);
      }
    }
  }
}

// The memory of a stream that says nothing does not grow.
void test_memory(std::mt19937& random) {
  const auto alphabet = alphabet_of(U" ab");
  BeamSearch search(alphabet, nullptr, 16, 12.0);
  int64_t prefixes = 0, links = 0;
  for (int second = 0; second < 200; ++second) {
    search.accept(random_scores(random, 5, 4));
    std::vector<double> silence;
    for (int frame = 0; frame < 45; ++frame) silence.insert(silence.end(), {-9, -9, -9, 0});
    search.accept(silence);
    const BeamSearch::Sizes sizes = search.sizes();
    check(sizes.beam <= 16, "the beam is too wide");
    prefixes = sizes.prefixes;
    links = sizes.links;
  }
  // At most five characters a second are common, and a beam of prefixes branches off them.
  check(prefixes < 200 * 5 + 16 * 60 && links < 200 * 5 + 32 * 60, "released memory is not reused");
}

void test_threads(std::mt19937& random) {
  const auto alphabet = alphabet_of(U" ab");
  const std::vector<double> scores = random_scores(random, 40, 4);
  BeamSearch shared(alphabet, nullptr, 8, 12.0), alone(alphabet, nullptr, 8, 12.0);
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      shared.accept(scores);
      shared.partial();
    });
  }
  threads.clear();
  for (int thread = 0; thread < 4; ++thread) alone.accept(scores);
  check(equal(shared.n_best(100), alone.n_best(100)), "threads disturb each other");
}

void test_refusals() {
  const auto alphabet = alphabet_of(U"a");
  BeamSearch search(alphabet, nullptr, 8, 12.0);
  for (const double wrong : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    bool refused = false;
    try {
      search.accept(std::vector<double>{0.0, 0.0, 0.0, wrong});
    } catch (const std::invalid_argument&) {
      refused = true;
    }
    check(refused && search.n_best(5).size() == 1, "NaN or infinity is taken");
  }
}

void test_largest_filter(std::mt19937& random) {
  for (int round = 0; round < 2000; ++round) {
    std::vector<double> values(random() % 30);
    for (double& value : values) value = random() % 8 == 0 ? kImpossible : double(random() % 6);
    const size_t count = 1 + random() % 12;
    std::vector<size_t> order(values.size());
    for (size_t number = 0; number < order.size(); ++number) order[number] = number;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t left, size_t right) { return values[left] > values[right]; });
    std::vector<bool> expected(values.size(), false);
    for (size_t rank = 0; rank < std::min(count, order.size()); ++rank) {
      expected[order[rank]] = true;
    }
    LargestFilter filter(values, count);
    for (size_t number = 0; number < values.size(); ++number) {
      check(filter.admits(values[number]) == expected[number], "not the largest values");
    }
  }
}

}  // namespace
}  // namespace sparsespeech::decoding

int main() {
  namespace decoding = sparsespeech::decoding;
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) decoding::test_searches(random);
  decoding::test_memory(random);
  decoding::test_threads(random);
  decoding::test_refusals();
  decoding::test_largest_filter(random);
  return 0;
}
