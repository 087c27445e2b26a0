// What the packed layers of an engine share: matrices in the forms that the kernels take, rescale
// tables, and activations in tiles.
//
// Axes: R rows, S slots (rows in packed order), C columns or values, N frames of a tile (64).

#ifndef SPARSESPEECH_ENGINE_PACKED_LAYER_H_
#define SPARSESPEECH_ENGINE_PACKED_LAYER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "sparsespeech/aligned_buffer.h"
#include "sparsespeech/engine.h"
#include "sparsespeech/kernels.h"

namespace sparsespeech {

// How the engine packs, decided once for all layers.
struct Packing {
  const Kernels& kernels;
  double dense_product_from;  // density from which one vector meets a dense matrix
  double dense_tile_from;     // the same for tiles of 64 vectors
  SweepShape sweep_shape;
  bool choose_sweep_shape;  // sweep_shape is only where the choice starts
  const PackedOrders& orders;
};

// A matrix that multiplies tiles of 64 vectors.
class TileMatrix {
 public:
  TileMatrix(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot, bool dense);

  // acc[last - first][64], at most kRowsOfBlock rows; x is a tile of `tile_values(C)` rows.
  void tile_product(const Kernels& kernels, std::size_t first, std::size_t last,
                    const std::uint8_t* x, std::int32_t* acc) const;
  // acc[last - first] for one vector, readable up to tile_values(C).
  void product(const Kernels& kernels, std::size_t first, std::size_t last, const std::uint8_t* x,
               std::int32_t* acc) const;

  std::size_t rows() const;
  std::size_t bytes() const;
  bool dense() const { return std::holds_alternative<DenseMatrix>(form_); }

 private:
  std::variant<QuadMatrix, DenseMatrix> form_;
};

// Rows of a tile of C values: dense kernels read whole multiples.
constexpr std::size_t tile_values(std::size_t values) {
  return round_up(values, DenseMatrix::kColumnMultiple);
}

// Rule R4's pairs in slot order.
class RescaleTable {
 public:
  RescaleTable(const Requantizer& requantize, std::span<const std::uint32_t> row_of_slot);

  Rescale from(std::size_t slot) const { return view().from(slot); }
  Rescale view() const { return {multiplier_.data(), shift_.data(), stride_}; }
  std::size_t bytes() const { return multiplier_.bytes() + shift_.bytes(); }

 private:
  std::size_t stride_;
  AlignedBuffer<std::int32_t> multiplier_, shift_;
};

// Activations of T frames: [tiles][tile_values(C)][64], frame t in column t % 64 of tile t / 64.
// Memory is kept from one shape to the next: fresh pages cost more than a layer of one second.
class Tiles {
 public:
  // Contents are undefined afterwards; whatever is there is a valid activation.
  void reshape(std::size_t frames, std::size_t values) {
    frames_ = frames;
    values_ = values;
    grow(data_, round_up(frames, kTileColumns) * tile_values(values));
  }

  std::size_t frames() const { return frames_; }
  std::size_t values() const { return values_; }
  std::size_t tiles() const { return (frames_ + kTileColumns - 1) / kTileColumns; }
  std::size_t columns(std::size_t tile) const {
    const std::size_t left = frames_ - tile * kTileColumns;
    return left < kTileColumns ? left : kTileColumns;
  }
  std::uint8_t* tile(std::size_t tile) {
    return data_.data() + tile * kTileColumns * tile_values(values_);
  }
  const std::uint8_t* tile(std::size_t tile) const {
    return data_.data() + tile * kTileColumns * tile_values(values_);
  }
  std::size_t bytes() const { return data_.bytes(); }

 private:
  std::size_t frames_ = 0, values_ = 0;
  AlignedBuffer<std::uint8_t> data_;
};

// Activations of a few frames, each a vector: [T][C].
class Vectors {
 public:
  // Contents are undefined afterwards.
  void reshape(std::size_t frames, std::size_t values) {
    frames_ = frames;
    values_ = values;
    grow(data_, frames * values);
  }

  std::size_t frames() const { return frames_; }
  std::size_t values() const { return values_; }
  std::span<std::uint8_t> frame(std::size_t frame) {
    return {data_.data() + frame * values_, values_};
  }
  std::span<const std::uint8_t> frame(std::size_t frame) const {
    return {data_.data() + frame * values_, values_};
  }

 private:
  std::size_t frames_ = 0, values_ = 0;
  AlignedBuffer<std::uint8_t> data_;
};

double density(const IntegerMatrix& matrix);

// The rows 0, 1, .. as slots.
std::vector<std::uint32_t> rows_in_order(std::size_t rows);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_PACKED_LAYER_H_
