#include "lstm_execution.h"

#include <algorithm>

namespace sparsespeech {
namespace {

constexpr std::size_t kValuesOfItem = 1024;  // of a tile that one thread moves at a time

// Calls move(tile, first value, values, frames of the tile) on all threads.
template <typename Move>
void for_each_piece(ThreadPool& pool, const Tiles& tiles, Move move) {
  const std::size_t pieces = (tiles.values() + kValuesOfItem - 1) / kValuesOfItem;
  WorkCounter counter;
  pool.run([&](std::size_t) {
    for (std::size_t item = counter.next(); item < pieces * tiles.tiles(); item = counter.next()) {
      const std::size_t tile = item / pieces, first = item % pieces * kValuesOfItem;
      move(tile, first, std::min(kValuesOfItem, tiles.values() - first), tiles.columns(tile));
    }
  });
}

}  // namespace

void spread_inputs(const LstmExecution& execution, const Tiles& input) {
  std::uint8_t* vectors = execution.workspace.inputs.data();
  for_each_piece(execution.pool, input,
                 [&](std::size_t tile, std::size_t first, std::size_t values, std::size_t frames) {
                   std::uint8_t* y[kTileColumns];
                   for (std::size_t n = 0; n < frames; ++n) {
                     y[n] = vectors + (tile * kTileColumns + n) * input.values() + first;
                   }
                   execution.kernels.drain_tile(input.tile(tile) + first * kTileColumns, frames,
                                                values, y);
                 });
}

void collect_outputs(const LstmExecution& execution, std::size_t frames, Tiles& output) {
  output.reshape(frames, execution.output_values());
  for_each_piece(execution.pool, output,
                 [&](std::size_t tile, std::size_t first, std::size_t values, std::size_t count) {
                   const std::uint8_t* x[kTileColumns];
                   for (std::size_t n = 0; n < count; ++n) {
                     x[n] = execution.output(tile * kTileColumns + n, 0) + first;
                   }
                   execution.kernels.fill_tile(x, count, values,
                                               output.tile(tile) + first * kTileColumns);
                 });
}

Peephole peephole_of(const LstmDirection& direction, const LstmPart& part) {
  if (direction.peephole.empty()) return {};
  const std::int16_t* weights = direction.peephole.data() + part.first_unit;
  return {.input = weights,
          .forget = weights + direction.cells,
          .output = weights + 2 * direction.cells,
          .rescale = direction.peephole_rescale->view()};
}

}  // namespace sparsespeech
