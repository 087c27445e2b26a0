#include "lstm_workspace.h"

#include <algorithm>
#include <numeric>

namespace sparsespeech {
namespace {

void reserve_direction(DirectionBuffers& buffers, const LstmDirection& direction,
                       std::size_t input_values, bool together) {
  const std::size_t utterances = together ? kTileColumns : 1;
  const bool projected = direction.parts[0].projection.has_value();
  grow(buffers.stored, kTileColumns * direction.slots);
  grow(buffers.cell, utterances * direction.cells);
  grow(buffers.first, utterances * direction.outputs);
  if (projected) grow(buffers.unprojected, utterances * direction.cells);
  if (!together) return;
  grow(buffers.input_tile, kTileColumns * tile_values(input_values));
  grow(buffers.output_tile, kTileColumns * tile_values(direction.outputs));
  if (projected) grow(buffers.unprojected_tile, kTileColumns * tile_values(direction.cells));
}

void reserve_thread(ThreadBuffers& buffers, const LstmDirection& direction, bool together) {
  for (const LstmPart& part : direction.parts) {
    grow(buffers.loaded, part.recurrent.loaded_bytes());
    grow(buffers.acc, (together ? kTileColumns : 1) * part.slots());
    grow(buffers.sums, std::max(part.sums_size(), part.slots()));
    grow(buffers.loaded_input, part.input.loaded_bytes());
    grow(buffers.zeros, part.slots());
    if (part.slots() > buffers.in_order.size()) {
      grow(buffers.in_order, part.slots());
      std::iota(buffers.in_order.data(), buffers.in_order.data() + part.slots(), std::uint16_t{0});
    }
    if (part.projection) {
      grow(buffers.loaded_cell, part.projection->weights.loaded_bytes());
      grow(buffers.acc, part.projection->weights.slots());
      grow(buffers.block, kRowsOfBlock * kTileColumns);
    }
  }
}

}  // namespace

void LstmWorkspace::reserve(const std::vector<LstmDirection>& layer, std::size_t thread_count,
                            std::size_t frames, std::size_t input_values, bool together) {
  directions.resize(layer.size());
  threads.resize(thread_count);
  for (std::size_t d = 0; d < layer.size(); ++d) {
    reserve_direction(directions[d], layer[d], input_values, together);
    for (ThreadBuffers& thread : threads) reserve_thread(thread, layer[d], together);
  }
  grow(outputs, frames * layer.size() * layer[0].outputs);
  if (together) grow(inputs, frames * input_values);
}

}  // namespace sparsespeech
