// The Python module sparsespeech._native.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "sparsespeech/instruction_sets.h"

NB_MODULE(_native, module) {
  module.doc() = "The native engine of sparsespeech.";
  module.def("instruction_sets", &sparsespeech::instruction_sets,
             "The instruction sets usable here, lowest first: a prefix of\n"
             "['scalar', 'avx2', 'avx512', 'amx'].");
}
