// What the tests of kernels share: the sets that this processor runs, memory without slack, and
// the comparison of results. A test is a function of one set; it reports what differs.

#ifndef SPARSESPEECH_TESTS_KERNEL_TEST_H_
#define SPARSESPEECH_TESTS_KERNEL_TEST_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "sparsespeech/instruction_sets.h"
#include "sparsespeech/kernels.h"

namespace sparsespeech {

using Random = std::mt19937;

// A number of [low, high].
inline std::int64_t draw(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

// `size` values of T on a cache line and not a byte more, so that the address sanitizer sees a
// kernel that reads or writes beyond them.
template <typename T>
class ExactBuffer {
 public:
  explicit ExactBuffer(std::size_t size, T value = {})
      : data_(static_cast<T*>(::operator new(size * sizeof(T), kAlignment))), size_(size) {
    std::fill_n(data_.get(), size, value);
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t index) { return data_.get()[index]; }
  const T& operator[](std::size_t index) const { return data_.get()[index]; }
  std::span<const T> span() const { return {data_.get(), size_}; }

 private:
  static constexpr std::align_val_t kAlignment{kCacheLineBytes};
  struct Free {
    void operator()(T* data) const { ::operator delete(static_cast<void*>(data), kAlignment); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_;
};

inline std::size_t failures = 0;

// Reports the first difference of two results.
template <typename T>
void expect_equal(const Kernels& kernels, const std::string& what, std::span<const T> actual,
                  const std::vector<T>& expected) {
  const auto difference = std::ranges::mismatch(actual, expected);
  if (difference.in1 == actual.end() && difference.in2 == expected.end()) return;
  if (++failures > 10) return;  // the first ones tell enough
  if (actual.size() != expected.size()) {
    std::fprintf(stderr, "%s: %s: %zu values, expected %zu\n", kernels.name, what.c_str(),
                 actual.size(), expected.size());
    return;
  }
  const auto place = static_cast<std::size_t>(difference.in1 - actual.begin());
  std::fprintf(stderr, "%s: %s: value %zu of %zu is %lld, expected %lld\n", kernels.name,
               what.c_str(), place, actual.size(), static_cast<long long>(*difference.in1),
               static_cast<long long>(*difference.in2));
}

// The kernel sets of this processor, lowest first.
inline std::vector<const Kernels*> usable_kernels() {
  std::vector<const Kernels*> usable;
  for (const std::string& name : instruction_sets()) {
    if (name == "scalar") usable.push_back(&scalar_kernels());
#if defined(__x86_64__)
    if (name == "avx2") usable.push_back(&avx2_kernels());
    if (name == "avx512") usable.push_back(&avx512_kernels());
    if (name == "amx") usable.push_back(&amx_kernels());
#endif
  }
  return usable;
}

using KernelTest = void (*)(const Kernels& kernels);

// Runs the tests on every usable set; the exit status of the program.
inline int run_kernel_tests(std::initializer_list<KernelTest> tests) {
  for (const Kernels* kernels : usable_kernels()) {
    const std::size_t before = failures;
    for (const KernelTest test : tests) test(*kernels);
    std::printf("%s: %zu failures\n", kernels->name, failures - before);
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace sparsespeech

#endif  // SPARSESPEECH_TESTS_KERNEL_TEST_H_
