#include "order_search.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "feed_forward_layer.h"
#include "lstm_layer.h"
#include "ordered_model.h"
#include "sparsespeech/column_order.h"
#include "sparsespeech/row_order.h"

namespace sparsespeech {
namespace {

// A matrix with fewer wasted steps than this share is left as it is.
constexpr double kWorthwhile = 1.01;

// Calls work(job) for each of `jobs` jobs on all threads; throws what one of them threw.
template <typename Work>
void run_jobs(ThreadPool& pool, std::size_t jobs, Work work) {
  WorkCounter counter;
  std::mutex mutex;
  std::exception_ptr failure;
  pool.run([&](std::size_t) {
    for (std::size_t job = counter.next(); job < jobs; job = counter.next()) {
      try {
        work(job);
      } catch (...) {
        const std::lock_guard lock(mutex);
        failure = std::current_exception();
      }
    }
  });
  if (failure) std::rethrow_exception(failure);
}

bool is_swept(const IntegerMatrix& matrix, const Packing& packing, double dense_from) {
  return packing.kernels.sweep_product != nullptr && density(matrix) < dense_from;
}

// The shape that the rows are ordered for: of shapes to choose from, the one that gains most.
SweepShape searched_shape(const Packing& packing) {
  return {packing.sweep_shape.window, packing.choose_sweep_shape ? 4 : packing.sweep_shape.groups};
}

bool wastes_steps(const IntegerMatrix& matrix, const Packing& packing) {
  const std::vector<std::uint32_t> slots =
      rows_by_shape(matrix, rows_in_order(matrix.rows), kSlotMultiple);
  const SweepShape shape = searched_shape(packing);
  return static_cast<double>(count_steps(matrix, slots, shape)) >
         kWorthwhile * static_cast<double>(fewest_steps(matrix, slots, shape));
}

// The rows of one part of one matrix.
struct RowJob {
  const IntegerMatrix* matrix;
  SweepShape shape;
  std::vector<std::uint32_t> row_of_slot;
  std::string name;
  bool searched;
};

class RowJobs {
 public:
  RowJobs(const IntegerModel& model, const std::vector<LayerPacking>& packings,
          const OrderSearch& search, const PackedOrders& orders)
      : orders_(orders) {
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
      const auto& [packing, parts] = packings[i];
      if (const auto* lstm = std::get_if<LstmModel>(&model.layers[i])) {
        for (std::size_t d = 0; d < lstm->directions.size(); ++d) {
          const LstmDirectionModel& direction = lstm->directions[d];
          add(direction_name(*lstm, d) + ".recurrent", direction.recurrent, packing,
              packing.dense_product_from, lstm_part_rows(direction, parts), true);
        }
      } else if (const auto* linear = std::get_if<LinearModel>(&model.layers[i])) {
        add(linear->name, linear->weights, packing, packing.dense_tile_from,
            feed_forward_part_rows(linear->weights, parts), search.every_matrix);
      } else {
        const auto& output = std::get<OutputModel>(model.layers[i]);
        add(output.name, output.weights, packing, packing.dense_tile_from,
            feed_forward_part_rows(output.weights, parts), search.every_matrix);
      }
    }
    if (given_ != orders.rows.size()) {
      throw std::invalid_argument("an order of rows belongs to no matrix of the model");
    }
  }

  std::vector<RowJob>& jobs() { return jobs_; }

 private:
  void add(const std::string& name, const IntegerMatrix& matrix, const Packing& packing,
           double dense_from, const std::vector<std::vector<std::uint32_t>>& part_rows,
           bool searched) {
    const std::vector<std::uint32_t>* given = find_order(orders_, name);
    if (given != nullptr) ++given_;
    std::size_t first_slot = 0;
    for (const std::vector<std::uint32_t>& rows : part_rows) {
      RowJob job{.matrix = &matrix,
                 .shape = searched_shape(packing),
                 .row_of_slot = order_rows(matrix, rows, given, first_slot),
                 .name = name,
                 .searched = searched && is_swept(matrix, packing, dense_from)};
      first_slot += job.row_of_slot.size();
      if (job.searched || given != nullptr) jobs_.push_back(std::move(job));
    }
    if (given != nullptr && given->size() != first_slot) {
      throw std::invalid_argument("the order of the rows of " + name + " has too many slots");
    }
  }

  const PackedOrders& orders_;
  std::vector<RowJob> jobs_;
  std::size_t given_ = 0;
};

}  // namespace

void search_unit_orders(const IntegerModel& model, const std::vector<LayerPacking>& packings,
                        const OrderSearch& search, ThreadPool& pool, PackedOrders& orders) {
  struct Job {
    std::string name;
    const IntegerMatrix* matrix;
    const Packing* packing;
    std::vector<std::uint32_t> unit_at;
  };
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const auto* lstm = std::get_if<LstmModel>(&model.layers[i]);
    if (lstm == nullptr || search.column_rounds == 0) continue;
    const Packing& packing = packings[i].packing;
    for (std::size_t d = 0; d < lstm->directions.size(); ++d) {
      const LstmDirectionModel& direction = lstm->directions[d];
      if (!direction.projection && orders.units.count(direction_name(*lstm, d)) == 0 &&
          is_swept(direction.recurrent, packing, packing.dense_product_from)) {
        jobs.push_back({direction_name(*lstm, d), &direction.recurrent, &packing, {}});
      }
    }
  }
  run_jobs(pool, jobs.size(), [&](std::size_t i) {
    Job& job = jobs[i];
    if (!wastes_steps(*job.matrix, *job.packing)) return;
    job.unit_at = search_column_order(*job.matrix, search.column_rounds, search.seed);
  });
  for (Job& job : jobs) {
    if (!job.unit_at.empty()) orders.units[job.name] = std::move(job.unit_at);
  }
}

void search_row_orders(const IntegerModel& model, const std::vector<LayerPacking>& packings,
                       const OrderSearch& search, ThreadPool& pool, PackedOrders& orders) {
  RowJobs all(model, packings, search, orders);
  std::vector<RowJob>& jobs = all.jobs();
  run_jobs(pool, jobs.size(), [&](std::size_t i) {
    RowJob& job = jobs[i];
    if (!job.searched) return;
    const RowSearch own{
        .swaps = std::min(search.swaps_per_row * job.row_of_slot.size(), search.most_swaps),
        .reach = search.reach,
        .seed = search.seed};
    job.row_of_slot = search_row_order(*job.matrix, job.row_of_slot, job.shape, own);
  });
  orders.rows.clear();
  for (const RowJob& job : jobs) {
    std::vector<std::uint32_t>& slots = orders.rows[job.name];
    slots.insert(slots.end(), job.row_of_slot.begin(), job.row_of_slot.end());
  }
}

}  // namespace sparsespeech
