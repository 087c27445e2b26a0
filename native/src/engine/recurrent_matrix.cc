#include "recurrent_matrix.h"

#include <algorithm>
#include <limits>
#include <utility>

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

bool is_dense(const IntegerMatrix& matrix, const Packing& packing) {
  return density(matrix) >= packing.dense_product_from;
}

}  // namespace

RecurrentMatrix::RecurrentMatrix(std::string name, const IntegerMatrix& matrix,
                                 std::span<const std::uint32_t> row_of_slot, const Packing& packing)
    : tiles_(matrix, row_of_slot, is_dense(matrix, packing)), columns_(matrix.columns) {
  if (!is_dense(matrix, packing) && packing.kernels.sweep_product != nullptr) {
    sweep_ = pack_best_sweep(matrix, row_of_slot, packing);
  }
  report_ = {.name = std::move(name),
             .form = tiles_.dense() ? "dense"
                     : sweep_       ? "sweep, quad"
                                    : "quad",
             .rows = matrix.rows,
             .columns = matrix.columns,
             .nonzeros = matrix.nonzeros(),
             .bytes = bytes()};
  if (sweep_ && sweep_->nonzeros > 0) {
    report_.slots_per_nonzero =
        static_cast<double>(sweep_->entries.size()) / 2 / static_cast<double>(sweep_->nonzeros);
  }
}

std::size_t RecurrentMatrix::loaded_bytes() const {
  return sweep_ ? window_copies_bytes(columns_) : tile_values(columns_);
}

void RecurrentMatrix::load(std::span<const std::uint8_t> input, std::uint8_t* loaded) const {
  if (sweep_) {
    load_window_copies(input, loaded);
  } else {
    std::copy(input.begin(), input.end(), loaded);
  }
}

void RecurrentMatrix::product(const Kernels& kernels, std::size_t step, const std::uint8_t* loaded,
                              std::int32_t* acc) const {
  if (sweep_) {
    kernels.sweep_product(*sweep_, order_of(step), loaded, acc);
  } else {
    tiles_.product(kernels, 0, tiles_.rows(), loaded, acc);
  }
}

void RecurrentMatrix::gate_sums(const Kernels& kernels, std::size_t step,
                                const std::uint8_t* loaded, const std::int16_t* stored,
                                Rescale rescale, const std::uint16_t* destination,
                                std::int32_t* acc, std::int32_t* sums) const {
  if (sweep_) {
    kernels.sweep_gate_sums(*sweep_, order_of(step), loaded, stored, rescale, destination, sums);
  } else {
    tiles_.product(kernels, 0, tiles_.rows(), loaded, acc);
    kernels.gate_sums(acc, stored, tiles_.rows(), rescale, destination, sums);
  }
}

}  // namespace sparsespeech
