"""When the passes run a second time: results of an LSTM that find no circuits, or narrow ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler import lower as lowering
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.lower import PASSES, lower
from sparsespeech.compiler.program import Program
from sparsespeech.errors import CompileError
from sparsespeech.graph import Graph, Lstm, Output
from tests.accelerator_plans import model_of_shapes

MAU = TARGETS["mau-stratix10"]
# Eight row groups fill the 16 slots of the host's port; then seven are tried, then six.
MODEL = model_of_shapes(Graph((Lstm("lstm", 64, 128), Output("output", 256, 3))))
WIDE = 8
NAMES = [step.__name__ for step in PASSES]


def compiled(
    monkeypatch: pytest.MonkeyPatch, outcome: Callable[[int], str]
) -> tuple[Program, list[tuple[str, int]]]:
    """``outcome``: for a number of row groups "wide", "narrow", or the message of an error."""
    real = PASSES[-1]

    def route(plan: Plan) -> Plan:
        found = outcome(plan.row_groups["lstm"])
        if found not in ("wide", "narrow"):
            raise CompileError(found)
        plan = real(plan)
        narrow = [stream.name for stream in plan.streams if stream.name.startswith("outputs")]
        network = {**plan.facts["network"], "narrow_streams": narrow if found == "narrow" else []}
        return replace(plan, facts={**plan.facts, "network": network})

    monkeypatch.setattr(lowering, "PASSES", (*PASSES[:-1], route))
    seen: list[tuple[str, int]] = []
    program = lower(
        MODEL,
        MAU,
        "interleaved",
        after=lambda name, plan: seen.append((name, plan.row_groups.get("lstm", 0))),
    )
    return program, seen


def row_groups(program: Program) -> int:
    return len({chain.row_group for chain in program.chains})


def test_wide_circuits_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    program, seen = compiled(monkeypatch, lambda groups: "wide")
    assert row_groups(program) == WIDE
    assert seen == [("select_layers", 0), *((name, WIDE) for name in NAMES[1:])]


@pytest.mark.parametrize("enough", [7, 6])
def test_narrow_results_make_room(enough: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program, seen = compiled(monkeypatch, lambda groups: "narrow" if groups > enough else "wide")
    assert row_groups(program) == enough
    assert seen[len(NAMES) :] == [(name, enough) for name in NAMES[1:]]


@pytest.mark.parametrize("width", ["wide", "narrow"])
@pytest.mark.parametrize("enough", [7, 6])
def test_results_without_circuits_make_room(
    enough: int, width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, seen = compiled(
        monkeypatch, lambda groups: "no circuits" if groups > enough else width
    )
    assert row_groups(program) == enough
    assert [groups for _, groups in seen] == [0] + [WIDE] * 5 + [enough] * 6


@pytest.mark.parametrize("others", ["narrow", "no circuits"])
def test_fewer_row_groups_that_do_not_help(others: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, seen = compiled(monkeypatch, lambda groups: "narrow" if groups == WIDE else others)
    assert row_groups(program) == WIDE
    assert len(seen) == len(NAMES)


def test_the_first_message_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CompileError, match="^no circuits for 8$"):
        compiled(monkeypatch, lambda groups: f"no circuits for {groups}")
