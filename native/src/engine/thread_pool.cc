#include "sparsespeech/thread_pool.h"

#include <unistd.h>

#include <stdexcept>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sparsespeech {
namespace {

// Between two layers of one utterance a thread waits some microseconds, between two utterances
// much longer: spinning covers the first, sleep the second.
constexpr int kSpinsBeforeSleep = 20'000;
// A thread that gives way on a busy machine comes back milliseconds later, so waiting for the
// others of a team gives way only where they are not running at all.
constexpr int kSpinsBeforeYield = 50'000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads) : process_(getpid()) {
  try {
    for (std::size_t thread = 1; thread < threads; ++thread) {
      workers_.emplace_back([this, thread] { wait_for_work(thread); });
    }
  } catch (...) {
    stop();  // the system gave some of the threads, not all
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    round_.fetch_add(1);
  }
  awake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::forked() const { return !workers_.empty() && getpid() != process_; }

void ThreadPool::check_process() const {
  if (forked()) {
    throw std::runtime_error("the engine was made before a fork; make one in the child process");
  }
}

void ThreadPool::run_function(Function function) {
  if (!workers_.empty()) {
    working_.store(workers_.size(), std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      function_ = function;
      round_.fetch_add(1);
    }
    awake_.notify_all();
  }
  function.call(function.context, 0);
  for (int spins = 0; working_.load(std::memory_order_acquire) > 0; ++spins) {
    if (spins < kSpinsBeforeYield) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

std::uint64_t ThreadPool::next_round(std::uint64_t seen) {
  for (int spins = 0; spins < kSpinsBeforeSleep; ++spins) {
    const std::uint64_t round = round_.load(std::memory_order_acquire);
    if (round != seen) return round;
    pause();
  }
  std::unique_lock lock(mutex_);
  awake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
  return round_.load(std::memory_order_acquire);
}

void ThreadPool::wait_for_work(std::size_t thread) {
  for (std::uint64_t seen = 0;;) {
    seen = next_round(seen);
    if (stopping_) return;
    function_.call(function_.context, thread);
    working_.fetch_sub(1, std::memory_order_release);
  }
}

void Barrier::wait() {
  if (members_ == 1) return;
  const std::uint64_t phase = phase_.load(std::memory_order_acquire);
  if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    waiting_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
    if (spins < kSpinsBeforeYield) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace sparsespeech
