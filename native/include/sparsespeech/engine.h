// The CPU engine: an integer model packed for this processor, and its execution on threads.
//
// Axes: T frames, W inputs of one window, V labels, F fed-back values of an LSTM direction.
// One engine runs one call at a time; its results do not depend on the number of threads, the
// instruction set or what runs together (rules R1 to R9 and R12).

#ifndef SPARSESPEECH_ENGINE_H_
#define SPARSESPEECH_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sparsespeech/integer_model.h"
#include "sparsespeech/lstm_state.h"
#include "sparsespeech/packed_orders.h"
#include "sparsespeech/sweep_matrix.h"

namespace sparsespeech {

// Choices for one layer; nothing chosen: those of EngineOptions.
struct LayerOptions {
  std::optional<SweepShape> sweep_shape = {};
  // As EngineOptions::dense_from, for matrices that meet one vector a step, and for others.
  std::optional<double> dense_product_from = {}, dense_tile_from = {};
};

struct EngineOptions {
  std::string instruction_set;  // one of instruction_sets()
  std::size_t threads = 1;
  // Matrices with at least this share of nonzeros are stored and multiplied with their zeros;
  // nothing chosen: the instruction set's own break-even densities.
  std::optional<double> dense_from = {};
  std::optional<SweepShape> sweep_shape = {};  // nothing chosen: the fastest by bytes and groups
  std::map<std::string, LayerOptions> layers = {};  // by name
  PackedOrders orders = {};                         // those known already
  OrderSearch search = {};
};

// How one matrix is stored.
struct MatrixReport {
  std::string name;
  std::string form;  // "sweep", "quad", "dense", or two of them
  std::size_t rows = 0, columns = 0, nonzeros = 0, bytes = 0;
  double slots_per_nonzero = 0;  // stored entries of the sweep form, 0 without one
};

// One utterance or the next piece of one.
struct EngineInput {
  std::span<const std::uint8_t> windows;  // [T][W]
  std::size_t frames = 0;
  EngineState* state = nullptr;    // null: a whole utterance from R12's initial state
  std::span<std::int64_t> logits;  // [T][V], written
};

class Engine {
 public:
  // Packs `model`, whose arrays may be freed afterwards. Throws std::bad_alloc;
  // std::invalid_argument for an instruction set that is not usable here, no threads or layers
  // that do not fit together, orders or layer options that do not fit the model;
  // std::length_error for a matrix that a packed form cannot hold.
  Engine(const IntegerModel& model, const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Runs all inputs together; returns the seconds that each layer took. Throws std::bad_alloc, and
  // std::invalid_argument for spans of the wrong size, or a state in a bidirectional model. The
  // states are unchanged then. Throws std::runtime_error after a fork, see check_process.
  std::vector<double> run(std::span<const EngineInput> inputs);

  // Throws std::runtime_error in a child process made by fork: the threads stayed in the parent.
  void check_process() const;

  // The state before the first frame (R12). Throws std::invalid_argument if bidirectional.
  EngineState initial_state() const;

  std::size_t inputs() const;
  std::size_t labels() const;
  std::size_t packed_bytes() const;
  std::size_t threads() const;
  const std::string& instruction_set() const;
  std::vector<std::string> layer_names() const;
  std::vector<MatrixReport> matrices() const;
  const PackedOrders& orders() const;  // in use: those given and those found

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_H_
