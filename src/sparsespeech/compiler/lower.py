"""The compiler: one list of passes from an integer model to an accelerator program.

Axes: none of its own; see ``ir.py`` and ``program.py``.
"""

from __future__ import annotations

from collections.abc import Callable

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.passes.allocate_cores import allocate_cores
from sparsespeech.compiler.passes.assemble import assemble
from sparsespeech.compiler.passes.bound_sums import bound_sums
from sparsespeech.compiler.passes.pack_words import pack_words
from sparsespeech.compiler.passes.place import place
from sparsespeech.compiler.passes.route import route
from sparsespeech.compiler.passes.select_layers import select_layers
from sparsespeech.compiler.passes.split import split
from sparsespeech.compiler.program import Mapping, Program
from sparsespeech.model_file.model import IntegerModel

Pass = Callable[[Plan], Plan]

PASSES: tuple[Pass, ...] = (
    select_layers,  # which layers the accelerator computes, which the host
    allocate_cores,  # row groups and column slices of each layer, for the cores there are
    split,  # rows and columns of each chain of cores
    place,  # a core on the grid for each task
    bound_sums,  # no accumulator can overflow
    pack_words,  # nonzeros to weight words, and where they lie in memory
    route,  # circuits between the cores, slot by slot
)


def lower(
    model: IntegerModel,
    config: AcceleratorConfig,
    mapping: Mapping,
    *,
    host_layers: tuple[str, ...] | None = None,
    after: Callable[[str, Plan], None] | None = None,
) -> Program:
    """The program of ``model``; ``after`` sees the plan after each pass, under the pass's name.

    ``host_layers``: names of the last layers, which the host computes; None for all behind the
    last recurrent layer (layers 5 and 6 of DeepSpeech, as in the MAU paper). Raises CompileError
    naming matrix, row, need, limit and what helps.
    """
    plan = Plan(model, config, mapping, host_layers=host_layers)
    for step in PASSES:
        plan = step(plan)
        if after is not None:
            after(step.__name__, plan)
    return assemble(plan)
