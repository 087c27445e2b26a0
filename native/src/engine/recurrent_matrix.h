// A matrix that meets one vector a step, or a tile of 64 where many utterances step together.

#ifndef SPARSESPEECH_ENGINE_RECURRENT_MATRIX_H_
#define SPARSESPEECH_ENGINE_RECURRENT_MATRIX_H_

#include <optional>
#include <span>
#include <string>

#include "packed_layer.h"

namespace sparsespeech {

class RecurrentMatrix {
 public:
  // `row_of_slot`: a multiple of 64 slots. `name` is for the report.
  RecurrentMatrix(std::string name, const IntegerMatrix& matrix,
                  std::span<const std::uint32_t> row_of_slot, const Packing& packing);

  std::size_t slots() const { return tiles_.rows(); }

  // An input vector of C values, in the form that `product` takes: `loaded` has loaded_bytes().
  std::size_t loaded_bytes() const;
  void load(std::span<const std::uint8_t> input, std::uint8_t* loaded) const;

  // acc[slots()] (R3). Steps that follow each other go through the matrix in opposite orders.
  void product(const Kernels& kernels, std::size_t step, const std::uint8_t* loaded,
               std::int32_t* acc) const;

  // R5's sums of the gates, in the order of their destinations; acc is scratch for slots() values.
  void gate_sums(const Kernels& kernels, std::size_t step, const std::uint8_t* loaded,
                 const std::int16_t* stored, Rescale rescale, const std::uint16_t* destination,
                 std::int32_t* acc, std::int32_t* sums) const;

  const TileMatrix& tiles() const { return tiles_; }
  std::size_t bytes() const { return tiles_.bytes() + (sweep_ ? sweep_->bytes() : 0); }
  const MatrixReport& report() const { return report_; }

 private:
  std::optional<SweepMatrix> sweep_;
  TileMatrix tiles_;
  std::size_t columns_;
  MatrixReport report_;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_RECURRENT_MATRIX_H_
