#include "feed_forward_layer.h"

#include <algorithm>
#include <utility>

namespace sparsespeech {
namespace {

struct alignas(kCacheLineBytes) Accumulators {
  std::int32_t values[kRowsOfBlock * kTileColumns];
};

// Calls use(tile, first row, last row, accumulators) for each block of rows of each tile, on all
// threads; a tile's blocks follow each other, so that its input stays in the cache.
template <typename Use>
void for_each_block(const TileMatrix& weights, const Tiles& input, const Kernels& kernels,
                    ThreadPool& pool, Use use) {
  const std::size_t blocks = (weights.rows() + kRowsOfBlock - 1) / kRowsOfBlock;
  WorkCounter counter;
  pool.run([&](std::size_t) {
    Accumulators acc;
    for (std::size_t item = counter.next(); item < blocks * input.tiles(); item = counter.next()) {
      const std::size_t tile = item / blocks, first = item % blocks * kRowsOfBlock;
      const std::size_t last = std::min(first + kRowsOfBlock, weights.rows());
      weights.tile_product(kernels, first, last, input.tile(tile), acc.values);
      use(tile, first, last, acc.values);
    }
  });
}

}  // namespace

MatrixReport report_of(std::string name, const IntegerMatrix& matrix, const TileMatrix& packed) {
  return {.name = std::move(name),
          .form = packed.dense() ? "dense" : "quad",
          .rows = matrix.rows,
          .columns = matrix.columns,
          .nonzeros = matrix.nonzeros(),
          .bytes = packed.bytes()};
}

LinearLayer::LinearLayer(const LinearModel& model, const Packing& packing)
    : weights_(model.weights, rows_in_order(model.weights.rows),
               density(model.weights) >= packing.dense_tile_from),
      rescale_(model.requantize, rows_in_order(model.weights.rows)),
      clamp_{model.zero_point, model.low, model.high},
      report_(report_of(model.name, model.weights, weights_)) {}

void LinearLayer::run(const Tiles& input, const Kernels& kernels, ThreadPool& pool,
                      Tiles& output) const {
  output.reshape(input.frames(), outputs());
  for_each_block(weights_, input, kernels, pool,
                 [&](std::size_t tile, std::size_t first, std::size_t last, std::int32_t* acc) {
                   for (std::size_t row = first; row < last; ++row, acc += kTileColumns) {
                     Rescale rescale = rescale_.from(row);
                     rescale.stride = 0;  // one pair for the row's 64 columns
                     kernels.requantize(acc, kTileColumns, rescale, clamp_,
                                        output.tile(tile) + row * kTileColumns);
                   }
                 });
}

OutputLayer::OutputLayer(const OutputModel& model, const Packing& packing)
    : weights_(model.weights, rows_in_order(model.weights.rows),
               density(model.weights) >= packing.dense_tile_from),
      report_(report_of(model.name, model.weights, weights_)) {}

void OutputLayer::run(const Tiles& input, const Kernels& kernels, ThreadPool& pool,
                      std::int64_t* logits) const {
  for_each_block(weights_, input, kernels, pool,
                 [&](std::size_t tile, std::size_t first, std::size_t last, std::int32_t* acc) {
                   for (std::size_t column = 0; column < input.columns(tile); ++column) {
                     std::int64_t* frame = logits + (tile * kTileColumns + column) * labels();
                     for (std::size_t row = first; row < last; ++row) {
                       frame[row] = acc[(row - first) * kTileColumns + column];
                     }
                   }
                 });
}

}  // namespace sparsespeech
