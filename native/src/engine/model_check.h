// Whether the arrays of an integer model belong together.

#ifndef SPARSESPEECH_ENGINE_MODEL_CHECK_H_
#define SPARSESPEECH_ENGINE_MODEL_CHECK_H_

#include "sparsespeech/integer_model.h"

namespace sparsespeech {

// The sizes that the engine relies on: of arrays, of layers that follow each other, of the gates,
// and every column inside its row. Throws std::invalid_argument with the name of the layer.
// The bounds of rules R3 to R5 are the model file reader's to prove.
void check_model(const IntegerModel& model);

// Width of a layer's input; 0 for an LSTM without directions.
std::size_t inputs_of(const LayerModel& layer);

}  // namespace sparsespeech

#endif  // SPARSESPEECH_ENGINE_MODEL_CHECK_H_
