// Fully connected layers and the output layer: one matrix, all frames at once, or a few frames one
// after the other.
//
// Axes: R outputs, S slots of a part, C inputs.

#ifndef SPARSESPEECH_ENGINE_FEED_FORWARD_LAYER_H_
#define SPARSESPEECH_ENGINE_FEED_FORWARD_LAYER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "packed_matrix.h"
#include "sparsespeech/thread_pool.h"

namespace sparsespeech {

// The rows that one thread computes where there are few frames.
struct RowPart {
  std::vector<std::uint32_t> row_of_slot;
  std::vector<std::uint16_t> destination;  // slot -> row - first_row; empty slots come after
  std::size_t first_row = 0, rows = 0;
  PackedMatrix weights;

  // A part's product of one vector, in row order: rows and then what empty slots write.
  std::size_t sums_size() const { return round_up(rows, kSlotMultiple) + kSlotMultiple; }
};

// Buffers of the threads, kept from run to run.
struct VectorBuffers {
  AlignedBuffer<std::uint8_t> loaded;
  AlignedBuffer<std::int32_t> acc, sums;
  AlignedBuffer<std::int16_t> zeros;
};

// The rows of each part.
std::vector<std::vector<std::uint32_t>> feed_forward_part_rows(const IntegerMatrix& matrix,
                                                               std::size_t parts);

// The parts of one matrix with all its rows.
class FeedForwardMatrix {
 public:
  // Throws std::length_error where a part has 2^16 rows or more.
  FeedForwardMatrix(const std::string& name, const IntegerMatrix& matrix, const Packing& packing,
                    std::size_t parts);

  std::size_t rows() const { return rows_; }
  const std::vector<RowPart>& parts() const { return parts_; }
  std::size_t bytes() const;
  std::vector<MatrixReport> reports(const std::string& name) const;

  // Calls use(tile, part, first slot, last slot, acc) for each block of slots of each tile, on all
  // threads; a tile's blocks follow each other, so that its input stays in the cache.
  template <typename Use>
  void for_each_block(const Tiles& input, const Kernels& kernels, ThreadPool& pool, Use use) const;

  // Calls use(frame, part, buffers) on the part's thread, the vector loaded into buffers.
  template <typename Use>
  void for_each_vector(const Vectors& input, ThreadPool& pool, std::vector<VectorBuffers>& buffers,
                       Use use) const;

 private:
  std::size_t rows_;
  std::vector<RowPart> parts_;
};

// Rules R3 and R4.
class LinearLayer {
 public:
  LinearLayer(const LinearModel& model, const Packing& packing, std::size_t parts);

  void run(const Tiles& input, const Kernels& kernels, ThreadPool& pool, Tiles& output) const;
  void run(const Vectors& input, const Kernels& kernels, ThreadPool& pool, Vectors& output);

  std::size_t outputs() const { return weights_.rows(); }
  std::size_t bytes() const;
  std::vector<MatrixReport> reports() const { return weights_.reports(name_); }

 private:
  std::string name_;
  FeedForwardMatrix weights_;
  std::vector<RescaleTable> rescale_;  // one a part
  Clamp clamp_;
  std::vector<VectorBuffers> buffers_;
};

// Rules R3 and R9.
class OutputLayer {
 public:
  OutputLayer(const OutputModel& model, const Packing& packing, std::size_t parts);

  // logits[frame][label]; `logits` has room for input.frames() frames.
  void run(const Tiles& input, const Kernels& kernels, ThreadPool& pool,
           std::int64_t* logits) const;
  void run(const Vectors& input, const Kernels& kernels, ThreadPool& pool, std::int64_t* logits);

  std::size_t labels() const { return weights_.rows(); }
  std::size_t bytes() const { return weights_.bytes(); }
  std::vector<MatrixReport> reports() const { return weights_.reports(name_); }

 private:
  std::string name_;
  FeedForwardMatrix weights_;
  std::vector<VectorBuffers> buffers_;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_FEED_FORWARD_LAYER_H_
