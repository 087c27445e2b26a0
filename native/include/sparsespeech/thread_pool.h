// Threads that wait for work by spinning for a moment, then asleep; and a barrier between them.

#ifndef SPARSESPEECH_THREAD_POOL_H_
#define SPARSESPEECH_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace sparsespeech {

// A fixed team of threads; the caller is number 0 of it. One caller at a time.
class ThreadPool {
 public:
  // Throws std::system_error where the threads cannot be made.
  explicit ThreadPool(std::size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t threads() const { return workers_.size() + 1; }

  // Whether this is a child process made by fork, which has none of the threads. There the pool
  // must not be destroyed: it would wait for them.
  bool forked() const;
  // Throws std::runtime_error where forked().
  void check_process() const;

  // Calls work(thread) once on each thread, 0 <= thread < threads(), and waits for all. `work`
  // must not throw.
  template <typename Work>
  void run(Work&& work) {
    run_function({[](void* context, std::size_t thread) {
                    (*static_cast<std::remove_reference_t<Work>*>(context))(thread);
                  },
                  &work});
  }

 private:
  struct Function {
    void (*call)(void* context, std::size_t thread) = nullptr;
    void* context = nullptr;
  };

  void stop();
  void run_function(Function function);
  void wait_for_work(std::size_t thread);
  std::uint64_t next_round(std::uint64_t seen);

  const long process_;
  std::vector<std::thread> workers_;
  Function function_;
  std::atomic<std::uint64_t> round_{0};  // counts the calls of run
  std::atomic<std::size_t> working_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable awake_;
};

// Holds `members` threads until all have come; reusable. What a thread wrote before is seen by all
// after.
class Barrier {
 public:
  explicit Barrier(std::size_t members) : members_(members) {}

  void wait();

 private:
  const std::size_t members_;
  alignas(64) std::atomic<std::size_t> waiting_{0};
  alignas(64) std::atomic<std::uint64_t> phase_{0};
};

// Hands out the numbers 0, 1, 2, .. to whoever asks.
class WorkCounter {
 public:
  std::size_t next() { return next_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> next_{0};
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_THREAD_POOL_H_
