"""Third pass: rows over row groups, columns over the chains of cores that add up a row.

Axes: N steps of a row group, R row lanes. Each matrix is cut into row groups and each row group
into column slices; together the slices cover every weight exactly once.
"""

from __future__ import annotations

from dataclasses import replace

from sparsespeech.compiler.ir import ChainPlan, Plan
from sparsespeech.compiler.layer_shapes import (
    MatrixShape,
    column_slices,
    matrix_shapes,
    rows_of_steps,
    step_runs,
    unit_run,
)


def split(plan: Plan) -> Plan:
    """Fills ``chains``: by layer, direction, row group, and of an LSTM the gate input first."""
    layers = {layer.name: layer for layer in plan.model.graph.layers}
    chains: list[ChainPlan] = []
    for name in plan.accelerated:
        shapes = matrix_shapes(layers[name])
        for direction in dict.fromkeys(shape.direction for shape in shapes):
            same = [shape for shape in shapes if shape.direction == direction]
            for group in range(plan.row_groups[name]):
                chains += [_chain(plan, shape, group) for shape in same]
    return replace(plan, chains=tuple(chains))


def _chain(plan: Plan, shape: MatrixShape, group: int) -> ChainPlan:
    run = step_runs(shape.steps(plan.config), plan.row_groups[shape.layer])[group]
    first, outputs = unit_run(shape, plan.config, *run)
    return ChainPlan(
        name=_chain_name(shape, group),
        layer=shape.layer,
        direction=shape.direction,
        role=shape.role,
        row_group=group,
        matrix=shape.name,
        rows=rows_of_steps(shape, plan.config, *run),
        slices=column_slices(shape.columns, plan.config),
        first_output=first,
        outputs=outputs,
    )


def _chain_name(shape: MatrixShape, group: int) -> str:
    kind = {"linear": "", "gate_input": "input", "recurrent": "recurrent"}[shape.role]
    return ".".join(part for part in (shape.layer, shape.direction, kind, str(group)) if part)
