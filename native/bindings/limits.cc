// sparsespeech._native.limits: what this processor could do at best.

#include "sparsespeech/limits.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>

namespace nb = nanobind;
using nb::literals::operator""_a;

void bind_limits(nb::module_& module) {
  nb::module_ limits = module.def_submodule("limits", "Micro-benchmarks of this processor.");
  limits.def("read_bandwidth", &sparsespeech::read_bandwidth, "instruction_set"_a, "bytes"_a,
             "threads"_a, "seconds"_a, nb::call_guard<nb::gil_scoped_release>(),
             "Bytes a second that all threads read together, each over and over from its own\n"
             "`bytes`. Raises ValueError for an instruction set that this processor lacks.");
  limits.def("multiply_rate", &sparsespeech::multiply_rate, "instruction_set"_a, "threads"_a,
             "seconds"_a, nb::call_guard<nb::gil_scoped_release>(),
             "Products of an activation and a weight a second, all operands in registers.\n"
             "Raises ValueError for an instruction set that this processor lacks.");
  limits.def("pick_and_multiply_rate", &sparsespeech::pick_and_multiply_rate, "instruction_set"_a,
             "threads"_a, "seconds"_a, nb::call_guard<nb::gil_scoped_release>(),
             "The same, each activation picked from registers by an index first.\n"
             "Raises ValueError for an instruction set that this processor lacks.");
}
