// The Python module sparsespeech._native.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "sparsespeech/instruction_sets.h"

void bind_decoding(nanobind::module_& module);
void bind_engine(nanobind::module_& module);
void bind_limits(nanobind::module_& module);
void bind_training(nanobind::module_& module);

NB_MODULE(_native, module) {
  module.doc() = "The native engine of sparsespeech.";
  module.def("instruction_sets", &sparsespeech::instruction_sets,
             "The instruction sets usable here, lowest first: a prefix of\n"
             "['scalar', 'avx2', 'avx512', 'amx'].");
  bind_decoding(module);
  bind_engine(module);
  bind_limits(module);
  bind_training(module);
}
