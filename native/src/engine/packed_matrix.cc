#include "packed_matrix.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "sparsespeech/row_order.h"
#include "sparsespeech/sweep_matrix.h"

namespace sparsespeech {
namespace {

// Groups that share a window save its loads and cost padding. Time of one stored entry with 1, 2
// and 4 groups, relative, as measured where the matrix streams from the last-level cache.
struct GroupCost {
  std::size_t groups;
  double time;
};
constexpr GroupCost kGroupCosts[] = {{1, 1.43}, {2, 1.11}, {4, 1.0}};

SweepMatrix pack_best_sweep(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                            const Packing& packing) {
  if (!packing.choose_sweep_shape) return pack_sweep(matrix, row_of_slot, packing.sweep_shape);
  SweepMatrix best;
  double best_cost = std::numeric_limits<double>::infinity();
  for (const GroupCost& candidate : kGroupCosts) {
    const SweepShape shape{packing.sweep_shape.window, candidate.groups};
    SweepMatrix packed = pack_sweep(matrix, row_of_slot, shape);
    const double cost = static_cast<double>(packed.entries.size()) * candidate.time;
    if (cost < best_cost) {
      best_cost = cost;
      best = std::move(packed);
    }
  }
  return best;
}

SweepOrder order_of(std::size_t step) {
  return step % 2 == 0 ? SweepOrder::kForward : SweepOrder::kBackward;
}

std::size_t count_rows(std::span<const std::uint32_t> row_of_slot) {
  return row_of_slot.size() -
         static_cast<std::size_t>(std::count(row_of_slot.begin(), row_of_slot.end(), kEmptySlot));
}

std::size_t count_nonzeros(const IntegerMatrix& matrix,
                           std::span<const std::uint32_t> row_of_slot) {
  std::size_t sum = 0;
  for (const std::uint32_t row : row_of_slot) {
    if (row != kEmptySlot) sum += matrix.row_nonzeros(row);
  }
  return sum;
}

}  // namespace

const std::vector<std::uint32_t>* find_order(const PackedOrders& orders, const std::string& name) {
  const auto found = orders.rows.find(name);
  return found == orders.rows.end() ? nullptr : &found->second;
}

std::vector<std::uint32_t> order_rows(const IntegerMatrix& matrix,
                                      std::span<const std::uint32_t> rows,
                                      const std::vector<std::uint32_t>* given,
                                      std::size_t first_slot) {
  if (given == nullptr) return rows_by_shape(matrix, rows, kSlotMultiple);
  std::vector<std::uint32_t> expected(rows.begin(), rows.end());
  expected.resize(round_up(rows.size(), kSlotMultiple), kEmptySlot);
  if (first_slot + expected.size() > given->size()) {
    throw std::invalid_argument("an order of rows has too few slots");
  }
  const auto first = given->begin() + static_cast<std::ptrdiff_t>(first_slot);
  std::vector<std::uint32_t> slots(first, first + static_cast<std::ptrdiff_t>(expected.size()));
  std::vector<std::uint32_t> held = slots;
  std::sort(held.begin(), held.end());
  std::sort(expected.begin(), expected.end());
  if (held != expected) {
    throw std::invalid_argument("an order of rows does not hold the rows of its part");
  }
  return slots;
}

std::size_t first_of_part(std::size_t count, std::size_t part, std::size_t parts) {
  const std::size_t size = round_up((count + parts - 1) / parts, kLanes);
  return std::min(part * size, count);
}

PackedMatrix::PackedMatrix(const IntegerMatrix& matrix, std::span<const std::uint32_t> row_of_slot,
                           const Packing& packing, double dense_from)
    : tiles_(matrix, row_of_slot, density(matrix) >= dense_from),
      rows_(count_rows(row_of_slot)),
      columns_(matrix.columns),
      nonzeros_(count_nonzeros(matrix, row_of_slot)) {
  if (!tiles_.dense() && packing.kernels.sweep_product != nullptr) {
    sweep_ = pack_best_sweep(matrix, row_of_slot, packing);
  }
}

MatrixReport PackedMatrix::report(std::string name) const {
  MatrixReport report{.name = std::move(name),
                      .form = tiles_.dense() ? "dense"
                              : sweep_       ? "sweep, quad"
                                             : "quad",
                      .rows = rows_,
                      .columns = columns_,
                      .nonzeros = nonzeros_,
                      .bytes = bytes()};
  if (sweep_ && nonzeros_ > 0) {
    report.slots_per_nonzero =
        static_cast<double>(sweep_->entries.size()) / 2 / static_cast<double>(nonzeros_);
  }
  return report;
}

std::size_t PackedMatrix::loaded_bytes() const {
  return sweep_ ? window_copies_bytes(columns_) : tile_values(columns_);
}

void PackedMatrix::load(std::span<const std::uint8_t> input, std::uint8_t* loaded) const {
  if (sweep_) {
    load_window_copies(input, loaded);
  } else {
    std::copy(input.begin(), input.end(), loaded);
  }
}

void PackedMatrix::product(const Kernels& kernels, std::size_t step, const std::uint8_t* loaded,
                           std::int32_t* acc) const {
  if (slots() == 0) return;  // a small layer leaves some threads without rows
  if (sweep_) {
    kernels.sweep_product(*sweep_, order_of(step), loaded, acc);
  } else {
    tiles_.product(kernels, 0, tiles_.rows(), loaded, acc);
  }
}

void PackedMatrix::gate_sums(const Kernels& kernels, std::size_t step, const std::uint8_t* loaded,
                             const std::int16_t* stored, Rescale rescale,
                             const std::uint16_t* destination, std::int32_t* acc,
                             std::int32_t* sums) const {
  if (slots() == 0) return;  // a small layer leaves some threads without rows
  if (sweep_) {
    kernels.sweep_gate_sums(*sweep_, order_of(step), loaded, stored, rescale, destination, sums);
  } else {
    tiles_.product(kernels, 0, tiles_.rows(), loaded, acc);
    kernels.gate_sums(acc, stored, tiles_.rows(), rescale, destination, sums);
  }
}

}  // namespace sparsespeech
