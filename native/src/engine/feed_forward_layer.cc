#include "feed_forward_layer.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace sparsespeech {
namespace {

struct alignas(kCacheLineBytes) Accumulators {
  std::int32_t values[kRowsOfBlock * kTileColumns];
};

// Packs the rows from `first` on, whose slots are `rows`.
RowPart pack_part(const IntegerMatrix& matrix, const Packing& packing, std::size_t first,
                  std::size_t last, std::vector<std::uint32_t> rows) {
  if (rows.size() + 2 * kSlotMultiple > std::numeric_limits<std::uint16_t>::max()) {
    throw std::length_error("a layer has too many outputs for one thread");
  }
  std::vector<std::uint16_t> destination;
  std::size_t empty = last - first;
  for (const std::uint32_t row : rows) {
    destination.push_back(static_cast<std::uint16_t>(row == kEmptySlot ? empty++ : row - first));
  }
  PackedMatrix weights(matrix, rows, packing, packing.dense_tile_from);
  return {.row_of_slot = std::move(rows),
          .destination = std::move(destination),
          .first_row = first,
          .rows = last - first,
          .weights = std::move(weights)};
}

}  // namespace

std::vector<std::vector<std::uint32_t>> feed_forward_part_rows(const IntegerMatrix& matrix,
                                                               std::size_t parts) {
  std::vector<std::vector<std::uint32_t>> part_rows;
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t first = first_of_part(matrix.rows, part, parts);
    part_rows.emplace_back(first_of_part(matrix.rows, part + 1, parts) - first);
    std::iota(part_rows.back().begin(), part_rows.back().end(), static_cast<std::uint32_t>(first));
  }
  return part_rows;
}

FeedForwardMatrix::FeedForwardMatrix(const std::string& name, const IntegerMatrix& matrix,
                                     const Packing& packing, std::size_t parts)
    : rows_(matrix.rows) {
  std::size_t first_row = 0, first_slot = 0;
  for (const std::vector<std::uint32_t>& rows : feed_forward_part_rows(matrix, parts)) {
    std::vector<std::uint32_t> slots =
        order_rows(matrix, rows, find_order(packing.orders, name), first_slot);
    first_slot += slots.size();
    parts_.push_back(
        pack_part(matrix, packing, first_row, first_row + rows.size(), std::move(slots)));
    first_row += rows.size();
  }
}

std::size_t FeedForwardMatrix::bytes() const {
  std::size_t sum = 0;
  for (const RowPart& part : parts_) {
    sum += part.weights.bytes() + part.row_of_slot.size() * sizeof(std::uint32_t) +
           part.destination.size() * sizeof(std::uint16_t);
  }
  return sum;
}

std::vector<MatrixReport> FeedForwardMatrix::reports(const std::string& name) const {
  std::vector<MatrixReport> reports;
  for (const RowPart& part : parts_) reports.push_back(part.weights.report(name));
  return reports;
}

template <typename Use>
void FeedForwardMatrix::for_each_block(const Tiles& input, const Kernels& kernels, ThreadPool& pool,
                                       Use use) const {
  std::vector<std::pair<std::size_t, std::size_t>> blocks;  // part, first slot
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    for (std::size_t slot = 0; slot < parts_[part].weights.slots(); slot += kRowsOfBlock) {
      blocks.emplace_back(part, slot);
    }
  }
  WorkCounter counter;
  const std::size_t items = blocks.size() * input.tiles();
  pool.run([&](std::size_t) {
    Accumulators acc;
    for (std::size_t item = counter.next(); item < items; item = counter.next()) {
      const std::size_t tile = item / blocks.size();
      const auto [part, first] = blocks[item % blocks.size()];
      const std::size_t last = std::min(first + kRowsOfBlock, parts_[part].weights.slots());
      parts_[part].weights.tiles().tile_product(kernels, first, last, input.tile(tile), acc.values);
      use(tile, part, first, last, acc.values);
    }
  });
}

template <typename Use>
void FeedForwardMatrix::for_each_vector(const Vectors& input, ThreadPool& pool,
                                        std::vector<VectorBuffers>& buffers, Use use) const {
  buffers.resize(parts_.size());
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    const RowPart& rows = parts_[part];
    grow(buffers[part].loaded, rows.weights.loaded_bytes());
    grow(buffers[part].acc, rows.weights.slots());
    grow(buffers[part].sums, rows.sums_size());
    grow(buffers[part].zeros, rows.weights.slots());
  }
  pool.run([&](std::size_t thread) {
    if (thread >= parts_.size()) return;
    for (std::size_t frame = 0; frame < input.frames(); ++frame) {
      parts_[thread].weights.load(input.frame(frame), buffers[thread].loaded.data());
      use(frame, thread, buffers[thread]);
    }
  });
}

LinearLayer::LinearLayer(const LinearModel& model, const Packing& packing, std::size_t parts)
    : name_(model.name),
      weights_(model.name, model.weights, packing, parts),
      clamp_{model.zero_point, model.low, model.high} {
  for (const RowPart& part : weights_.parts()) {
    rescale_.emplace_back(model.requantize, part.row_of_slot);
  }
}

std::size_t LinearLayer::bytes() const {
  std::size_t sum = weights_.bytes();
  for (const RescaleTable& table : rescale_) sum += table.bytes();
  return sum;
}

void LinearLayer::run(const Tiles& input, const Kernels& kernels, ThreadPool& pool,
                      Tiles& output) const {
  output.reshape(input.frames(), outputs());
  weights_.for_each_block(input, kernels, pool,
                          [&](std::size_t tile, std::size_t part, std::size_t first,
                              std::size_t last, const std::int32_t* acc) {
                            for (std::size_t slot = first; slot < last;
                                 ++slot, acc += kTileColumns) {
                              const std::uint32_t row = weights_.parts()[part].row_of_slot[slot];
                              if (row == kEmptySlot) continue;
                              Rescale rescale = rescale_[part].from(slot);
                              rescale.stride = 0;  // one pair for the row's 64 columns
                              kernels.requantize(acc, kTileColumns, rescale, clamp_,
                                                 output.tile(tile) + row * kTileColumns);
                            }
                          });
}

void LinearLayer::run(const Vectors& input, const Kernels& kernels, ThreadPool& pool,
                      Vectors& output) {
  output.reshape(input.frames(), outputs());
  weights_.for_each_vector(
      input, pool, buffers_, [&](std::size_t frame, std::size_t part, VectorBuffers& buffers) {
        const RowPart& rows = weights_.parts()[part];
        rows.weights.gate_sums(kernels, frame, buffers.loaded.data(), buffers.zeros.data(),
                               rescale_[part].view(), rows.destination.data(), buffers.acc.data(),
                               buffers.sums.data());
        std::uint8_t* y = output.frame(frame).data() + rows.first_row;
        for (std::size_t row = 0; row < rows.rows; ++row) {
          const std::int32_t value = buffers.sums[row] + clamp_.zero_point;
          y[row] = static_cast<std::uint8_t>(std::clamp(value, clamp_.low, clamp_.high));
        }
      });
}

OutputLayer::OutputLayer(const OutputModel& model, const Packing& packing, std::size_t parts)
    : name_(model.name), weights_(model.name, model.weights, packing, parts) {}

void OutputLayer::run(const Tiles& input, const Kernels& kernels, ThreadPool& pool,
                      std::int64_t* logits) const {
  weights_.for_each_block(input, kernels, pool,
                          [&](std::size_t tile, std::size_t part, std::size_t first,
                              std::size_t last, const std::int32_t* acc) {
                            for (std::size_t slot = first; slot < last;
                                 ++slot, acc += kTileColumns) {
                              const std::uint32_t row = weights_.parts()[part].row_of_slot[slot];
                              if (row == kEmptySlot) continue;
                              std::int64_t* y = logits + tile * kTileColumns * labels() + row;
                              for (std::size_t n = 0; n < input.columns(tile); ++n)
                                y[n * labels()] = acc[n];
                            }
                          });
}

void OutputLayer::run(const Vectors& input, const Kernels& kernels, ThreadPool& pool,
                      std::int64_t* logits) {
  weights_.for_each_vector(
      input, pool, buffers_, [&](std::size_t frame, std::size_t part, VectorBuffers& buffers) {
        const RowPart& rows = weights_.parts()[part];
        rows.weights.product(kernels, frame, buffers.loaded.data(), buffers.acc.data());
        std::int64_t* y = logits + frame * labels();
        for (std::size_t slot = 0; slot < rows.row_of_slot.size(); ++slot) {
          if (rows.row_of_slot[slot] != kEmptySlot) y[rows.row_of_slot[slot]] = buffers.acc[slot];
        }
      });
}

}  // namespace sparsespeech
