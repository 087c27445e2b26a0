// A part of a matrix, packed for both of its uses: one vector, and tiles of 64 vectors.
//
// Axes: S slots (the part's rows in packed order, with empty rows up to a whole number of bundles),
// C columns.

#ifndef SPARSESPEECH_ENGINE_PACKED_MATRIX_H_
#define SPARSESPEECH_ENGINE_PACKED_MATRIX_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "packed_layer.h"

namespace sparsespeech {

inline constexpr std::size_t kSlotMultiple = 4 * kLanes;  // the largest bundle of a sweep

// The order of a matrix's rows, or null.
const std::vector<std::uint32_t>* find_order(const PackedOrders& orders, const std::string& name);

// The slots of a part that has `rows`, a multiple of kSlotMultiple: those of `given` from
// `first_slot` on, or rows_by_shape without one. Throws std::invalid_argument unless the given
// slots hold these rows.
std::vector<std::uint32_t> order_rows(const IntegerMatrix& matrix,
                                      std::span<const std::uint32_t> rows,
                                      const std::vector<std::uint32_t>* given,
                                      std::size_t first_slot);

// The first of `count` rows or units that part `part` of `parts` owns; parts are whole vectors.
std::size_t first_of_part(std::size_t count, std::size_t part, std::size_t parts);

class PackedMatrix {
 public:
  // `dense_from`: density from which the zeros are stored too.
  PackedMatrix(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
               const Packing& packing, double dense_from);

  std::size_t slots() const { return tiles_.rows(); }

  // An input vector of C values, in the form that `product` takes: `loaded` has loaded_bytes().
  std::size_t loaded_bytes() const;
  void load(std::span<const std::uint8_t> input, std::uint8_t* loaded) const;

  // acc[slots()] (R3). Steps that follow each other go through the matrix in opposite orders.
  void product(const Kernels& kernels, std::size_t step, const std::uint8_t* loaded,
               std::int32_t* acc) const;

  // sums[destination[slot]] = stored[slot] + R4'(product) (R5); acc is scratch for slots() values.
  void gate_sums(const Kernels& kernels, std::size_t step, const std::uint8_t* loaded,
                 const std::int16_t* stored, Rescale rescale, const std::uint16_t* destination,
                 std::int32_t* acc, std::int32_t* sums) const;

  const TileMatrix& tiles() const { return tiles_; }
  std::size_t bytes() const { return tiles_.bytes() + (sweep_ ? sweep_->bytes() : 0); }
  MatrixReport report(std::string name) const;

 private:
  TileMatrix tiles_;
  std::optional<SweepMatrix> sweep_;
  std::size_t rows_, columns_, nonzeros_;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_PACKED_MATRIX_H_
