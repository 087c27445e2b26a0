"""Fourth pass: a core for every column slice, along one path through the grid.

The path is a snake: row 0 from left to right, row 1 from right to left. Neighbours on the path are
neighbours on the grid, so partial sums travel one link. An LSTM's row group lies as

    input 0, input 1, ..., input tail | recurrent tail, ..., recurrent 1, recurrent 0

so the tail that makes the gate inputs is the neighbour of the tail that needs them, and partial
sums of both chains flow towards that place.
"""

from __future__ import annotations

from dataclasses import replace

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.ir import ChainPlan, Plan
from sparsespeech.compiler.program import Place
from sparsespeech.errors import CompileError


def place(plan: Plan) -> Plan:
    """Fills ``places`` and the cores of ``chains``; raises CompileError if cores run out."""
    config = plan.config
    cores: dict[tuple[str, str, int, str], tuple[int, ...]] = {}
    used = 0
    for chain in plan.chains:
        key = _site(plan, chain)
        if key in cores:  # interleaved: the other direction lies on these cores already
            continue
        path = tuple(range(used, used + len(chain.slices)))
        cores[key] = path[::-1] if chain.role == "recurrent" else path
        used += len(chain.slices)
    if used > config.cores:
        raise CompileError(
            f"{used} cores are needed, {config.name} has {config.cores}; choose a larger target "
            "with --target or compute more layers on the host with --host-layers"
        )
    chains = tuple(replace(chain, cores=cores[_site(plan, chain)]) for chain in plan.chains)
    return replace(plan, places=snake(config), chains=chains)


def snake(config: AcceleratorConfig) -> tuple[Place, ...]:
    """Row and column of the grid of cores 0, 1, ...; each next to the one before."""
    columns = range(config.grid_columns)
    path = [
        (row, column)
        for row in range(config.grid_rows)
        for column in (columns if row % 2 == 0 else reversed(columns))
    ]
    return tuple(path[: config.cores])


def _site(plan: Plan, chain: ChainPlan) -> tuple[str, str, int, str]:
    """Chains with the same site share their cores: directions, in the interleaved mapping."""
    direction = "" if plan.mapping == "interleaved" else chain.direction
    return chain.layer, direction, chain.row_group, chain.role
