"""The compiler: one list of passes from an integer model to an accelerator program.

Axes: none of its own; see ``ir.py`` and ``program.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

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
from sparsespeech.errors import CompileError
from sparsespeech.model_file.model import IntegerModel

# Of a port's slots for the results of an LSTM, where taking all leaves other streams no way.
ROOMY_SHARES = (7 / 8, 3 / 4)
Pass = Callable[[Plan], Plan]
After = Callable[[str, Plan], None]

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
    after: After | None = None,
) -> Program:
    """The program of ``model``; ``after`` sees the plan after each pass, under the pass's name.

    ``host_layers``: names of the last layers, which the host computes; None for all behind the
    last recurrent layer (layers 5 and 6 of DeepSpeech, as in the MAU paper). An LSTM may be spread
    so far that the circuits of its results come out narrower than they should, or that there are
    none. Results are part of every step, so the passes from allocate_cores on then run again with
    fewer row groups (and ``after`` sees their plans too, if they succeed). Raises CompileError
    naming matrix, row, need, limit and what helps.
    """
    first = PASSES.index(allocate_cores)
    selected = _through(
        PASSES[:first], Plan(model, config, mapping, host_layers=host_layers), after
    )
    spread = _through([allocate_cores], selected, after)
    try:
        plan = _through(_behind_allocation(), spread, after)
    except CompileError:
        roomy = _with_fewer_row_groups(spread, after, any_width=True)
        if roomy is None:
            raise
        return assemble(roomy)
    if _results_wait(plan):
        plan = _with_fewer_row_groups(spread, after, any_width=False) or plan
    return assemble(plan)


def _through(steps: Iterable[Pass], plan: Plan, after: After | None) -> Plan:
    for name, found in _plans(steps, plan):
        plan = found
        if after is not None:
            after(name, plan)
    return plan


def _plans(steps: Iterable[Pass], plan: Plan) -> Iterator[tuple[str, Plan]]:
    """The plan after each pass, under its name."""
    for step in steps:
        plan = step(plan)
        yield step.__name__, plan


def _results_wait(plan: Plan) -> bool:
    """Whether a recurrent tail has fewer slots than it needs for its results."""
    streams = {
        plan.output_streams[number]
        for number, chain in enumerate(plan.chains)
        if chain.role == "recurrent"
    }
    narrow = set(plan.facts["network"]["narrow_streams"])
    return any(plan.streams[number].name in narrow for number in streams if number is not None)


def _with_fewer_row_groups(spread: Plan, after: After | None, *, any_width: bool) -> Plan | None:
    """The full plan with the least room at the ports that helps.

    None if no other number of row groups has circuits or, unless ``any_width`` will do, wide ones.
    """
    tried = [spread.row_groups]
    for share in ROOMY_SHARES:
        plan = allocate_cores(replace(spread, results_share=share))
        if plan.row_groups in tried:
            continue
        tried.append(plan.row_groups)
        try:
            seen = list(_plans(_behind_allocation(), plan))
        except CompileError:  # that of the first attempt is told
            continue
        if not any_width and _results_wait(seen[-1][1]):
            continue
        if after is not None:
            for name, found in [(allocate_cores.__name__, plan), *seen]:
                after(name, found)
        return seen[-1][1]
    return None


def _behind_allocation() -> tuple[Pass, ...]:
    return PASSES[PASSES.index(allocate_cores) + 1 :]
