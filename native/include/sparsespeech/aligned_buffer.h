// Memory that starts on a cache line, zero-filled, freed by its owner.

#ifndef SPARSESPEECH_ALIGNED_BUFFER_H_
#define SPARSESPEECH_ALIGNED_BUFFER_H_

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace sparsespeech {

inline constexpr std::size_t kCacheLineBytes = 64;

// A fixed number of T, each zero at first. Throws std::bad_alloc where memory is short.
template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) : size_(size) {
    if (size == 0) return;
    // Whole cache lines: a kernel may read the last one to its end.
    const std::size_t bytes =
        (size * sizeof(T) + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
    data_.reset(static_cast<T*>(::operator new(bytes, std::align_val_t{kCacheLineBytes})));
    std::memset(static_cast<void*>(data_.get()), 0, bytes);
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(T); }
  T& operator[](std::size_t index) { return data_.get()[index]; }
  const T& operator[](std::size_t index) const { return data_.get()[index]; }
  std::span<T> span() { return {data_.get(), size_}; }
  std::span<const T> span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(T* data) const {
      ::operator delete(static_cast<void*>(data), std::align_val_t{kCacheLineBytes});
    }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

// Makes room for `size` elements; the contents are undefined afterwards.
template <typename T>
void grow(AlignedBuffer<T>& buffer, std::size_t size) {
  if (size > buffer.size()) buffer = AlignedBuffer<T>(size);
}

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ALIGNED_BUFFER_H_
