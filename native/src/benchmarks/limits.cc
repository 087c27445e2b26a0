#include "sparsespeech/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/instruction_sets.h"

namespace sparsespeech {
namespace {

constexpr int kRuns = 5;                         // the best one counts: others were disturbed
constexpr double kUncheckedSeconds = 20e-6;      // work between two looks at the clock
constexpr std::size_t kFewestBlocks = 64;        // of a multiply loop between two looks
constexpr std::size_t kFewestBytes = 256 << 10;  // of a read loop between two looks

using Clock = std::chrono::steady_clock;
using Work = std::function<std::uint64_t()>;  // does one piece of work

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

const LimitLoops& loops_of(std::string_view instruction_set) {
  const std::vector<std::string> usable = instruction_sets();
  if (std::find(usable.begin(), usable.end(), instruction_set) == usable.end()) {
    throw std::invalid_argument("limits: this processor has no instruction set '" +
                                std::string(instruction_set) + "'; the best it has is '" +
                                usable.back() + "'");
  }
#if defined(__x86_64__)
  if (instruction_set == "avx2") return avx2_limit_loops();
  if (instruction_set != "scalar") return avx512_limit_loops();
#endif
  return scalar_limit_loops();
}

// How many pieces of work one thread does a second.
double pieces_per_second(const Work& work, double seconds) {
  volatile std::uint64_t sink = work();  // warms the caches
  std::size_t pieces = 0;
  const Clock::time_point start = Clock::now();
  double elapsed = 0;
  do {
    sink = work();
    ++pieces;
    elapsed = seconds_since(start);
  } while (elapsed < seconds);
  static_cast<void>(sink);
  return static_cast<double>(pieces) / elapsed;
}

// The best of kRuns sums over all threads; `make_work` is called in each thread.
double best_rate(const std::function<Work()>& make_work, std::size_t threads, double seconds) {
  if (threads == 0 || !(seconds > 0)) {
    throw std::invalid_argument("limits: threads and seconds must be above 0");
  }
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> rates(threads);
    std::atomic<std::size_t> ready{0};
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < threads; ++i) {
      workers.emplace_back([&, i] {
        const Work work = make_work();
        ++ready;
        while (ready < threads) std::this_thread::yield();
        rates[i] = pieces_per_second(work, seconds / kRuns);
      });
    }
    workers.clear();  // joins
    double sum = 0;
    for (const double rate : rates) sum += rate;
    best = std::max(best, sum);
  }
  return best;
}

// Blocks that take about kUncheckedSeconds.
std::size_t blocks_of_piece(std::uint64_t (*loop)(std::size_t)) {
  std::size_t blocks = kFewestBlocks;
  while (true) {
    const Clock::time_point start = Clock::now();
    volatile std::uint64_t sink = loop(blocks);
    static_cast<void>(sink);
    if (seconds_since(start) >= kUncheckedSeconds) return blocks;
    blocks *= 2;
  }
}

double loop_rate(std::uint64_t (*loop)(std::size_t), std::size_t products, std::size_t threads,
                 double seconds) {
  const std::size_t blocks = blocks_of_piece(loop);
  const auto make_work = [=]() -> Work { return [=] { return loop(blocks); }; };
  return best_rate(make_work, threads, seconds) * static_cast<double>(blocks * products);
}

}  // namespace

double read_bandwidth(std::string_view instruction_set, std::size_t bytes, std::size_t threads,
                      double seconds) {
  const LimitLoops& loops = loops_of(instruction_set);
  const std::size_t lines =
      std::max<std::size_t>(1, round_up(bytes, kCacheLineBytes) / kCacheLineBytes);
  const std::size_t passes = std::max<std::size_t>(1, kFewestBytes / (lines * kCacheLineBytes));
  const auto make_work = [&]() -> Work {
    auto buffer = std::make_shared<AlignedBuffer<std::uint8_t>>(lines * kCacheLineBytes);
    return [buffer, lines, passes, read = loops.read_lines] {
      std::uint64_t sum = 0;
      for (std::size_t pass = 0; pass < passes; ++pass) sum += read(buffer->data(), lines);
      return sum;
    };
  };
  return best_rate(make_work, threads, seconds) *
         static_cast<double>(passes * lines * kCacheLineBytes);
}

double multiply_rate(std::string_view instruction_set, std::size_t threads, double seconds) {
  const LimitLoops& loops = loops_of(instruction_set);
  return loop_rate(loops.multiply, loops.products_of_block, threads, seconds);
}

double pick_and_multiply_rate(std::string_view instruction_set, std::size_t threads,
                              double seconds) {
  const LimitLoops& loops = loops_of(instruction_set);
  return loop_rate(loops.pick_and_multiply, loops.products_of_block, threads, seconds);
}

}  // namespace sparsespeech
