// Fully connected layers and the output layer: one matrix, all frames at once.

#ifndef SPARSESPEECH_ENGINE_FEED_FORWARD_LAYER_H_
#define SPARSESPEECH_ENGINE_FEED_FORWARD_LAYER_H_

#include <cstdint>
#include <string>

#include "packed_layer.h"
#include "sparsespeech/thread_pool.h"

namespace sparsespeech {

// Rules R3 and R4.
class LinearLayer {
 public:
  LinearLayer(const LinearModel& model, const Packing& packing);

  void run(const Tiles& input, const Kernels& kernels, ThreadPool& pool, Tiles& output) const;

  std::size_t outputs() const { return weights_.rows(); }
  std::size_t bytes() const { return weights_.bytes() + rescale_.bytes(); }
  MatrixReport report() const { return report_; }

 private:
  TileMatrix weights_;
  RescaleTable rescale_;
  Clamp clamp_;
  MatrixReport report_;
};

// Rules R3 and R9.
class OutputLayer {
 public:
  OutputLayer(const OutputModel& model, const Packing& packing);

  // logits[frame][label]; `logits` has room for input.frames() frames.
  void run(const Tiles& input, const Kernels& kernels, ThreadPool& pool,
           std::int64_t* logits) const;

  std::size_t labels() const { return weights_.rows(); }
  std::size_t bytes() const { return weights_.bytes(); }
  MatrixReport report() const { return report_; }

 private:
  TileMatrix weights_;
  MatrixReport report_;
};

// A report of a matrix in its tile form.
MatrixReport report_of(std::string name, const IntegerMatrix& matrix, const TileMatrix& packed);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_FEED_FORWARD_LAYER_H_
