#include "packed_layer.h"

#include <numeric>

namespace sparsespeech {
namespace {

// A pair for slots without a row: 0 stays 0.
constexpr std::int32_t kAnyMultiplier = 1 << 15;
constexpr std::int32_t kAnyShift = 1;

std::variant<QuadMatrix, DenseMatrix> pack(const IntegerMatrix& matrix,
                                           std::span<const std::uint32_t> row_of_slot, bool dense) {
  if (dense) return pack_dense(matrix, row_of_slot);
  return pack_quads(matrix, row_of_slot);
}

}  // namespace

TileMatrix::TileMatrix(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                       bool dense)
    : form_(pack(matrix, row_of_slot, dense)) {}

void TileMatrix::tile_product(const Kernels& kernels, std::size_t first, std::size_t last,
                              const std::uint8_t* x, std::int32_t* acc) const {
  if (const auto* quads = std::get_if<QuadMatrix>(&form_)) {
    kernels.quad_tile_product(*quads, first, last, x, acc);
  } else {
    kernels.dense_tile_product(std::get<DenseMatrix>(form_), first, last, x, acc);
  }
}

void TileMatrix::product(const Kernels& kernels, std::size_t first, std::size_t last,
                         const std::uint8_t* x, std::int32_t* acc) const {
  if (const auto* quads = std::get_if<QuadMatrix>(&form_)) {
    kernels.quad_product(*quads, first, last, x, acc);
  } else {
    kernels.dense_product(std::get<DenseMatrix>(form_), first, last, x, acc);
  }
}

std::size_t TileMatrix::rows() const {
  return std::visit([](const auto& matrix) { return matrix.rows; }, form_);
}

std::size_t TileMatrix::bytes() const {
  return std::visit([](const auto& matrix) { return matrix.bytes(); }, form_);
}

RescaleTable::RescaleTable(const Requantizer& requantize,
                           std::span<const std::uint32_t> row_of_slot)
    : stride_(requantize.multiplier.size() == 1 ? 0 : 1),
      multiplier_(stride_ == 0 ? 1 : row_of_slot.size()),
      shift_(multiplier_.size()) {
  for (std::size_t slot = 0; slot < multiplier_.size(); ++slot) {
    const std::uint32_t row = stride_ == 0 ? 0 : row_of_slot[slot];
    const bool empty = row == kEmptySlot;
    multiplier_[slot] =
        empty ? kAnyMultiplier : static_cast<std::int32_t>(requantize.multiplier[row]);
    shift_[slot] = empty ? kAnyShift : static_cast<std::int32_t>(requantize.shift[row]);
  }
}

double density(const IntegerMatrix& matrix) {
  const double size = static_cast<double>(matrix.rows) * static_cast<double>(matrix.columns);
  return size > 0 ? static_cast<double>(matrix.nonzeros()) / size : 0;
}

std::vector<std::uint32_t> rows_in_order(std::size_t rows) {
  std::vector<std::uint32_t> slots(rows);
  std::iota(slots.begin(), slots.end(), 0U);
  return slots;
}

}  // namespace sparsespeech
