from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsespeech.cpu_engine import layer_timing, tuning
from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.cpu_engine.layer_timing import Candidate, best_choice, time_candidates
from sparsespeech.cpu_engine.layers import describe_layers
from sparsespeech.cpu_engine.native import available_instruction_sets
from sparsespeech.cpu_engine.packed_cache import Tuning, cache_key, write_tuning
from sparsespeech.cpu_engine.tuning import tune
from sparsespeech.errors import PackedCacheError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel
from tests.random_models import random_integer_model

Windows = Callable[[int], Any]
EMPTY = 2**32 - 1


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = pytest.importorskip("sparsespeech._native", reason="the engine was not built")
    if not hasattr(module, "engine"):
        pytest.skip("the compiled module has no engine")
    monkeypatch.delenv("SPARSESPEECH_CPU_ISA", raising=False)
    monkeypatch.delenv("SPARSESPEECH_THREADS", raising=False)
    monkeypatch.setenv("SPARSESPEECH_CACHE_DIR", str(tmp_path))


@pytest.fixture(scope="module")
def wide_model() -> IntegerModel:
    return random_integer_model(np.random.default_rng(3), hidden=400, sparsity=0.95)


def recurrent_slots(facts: dict[str, Any]) -> list[list[float]]:
    return [
        slots for name, slots in facts["slots_per_nonzero"].items() if name.endswith(".recurrent")
    ]


@pytest.mark.parametrize("instruction_set", ["scalar", "avx2", "avx512"])
def test_a_tuned_engine_gives_the_same_logits(
    wide_model: IntegerModel, instruction_set: str, windows: Windows
) -> None:
    if instruction_set not in available_instruction_sets():
        pytest.skip(f"no {instruction_set} here")
    said: list[tuple[str, float]] = []
    found = tune(
        wide_model,
        threads=2,
        instruction_set=instruction_set,
        seconds=0.2,
        report=lambda what, share: said.append((what, share)),
    )
    executor = CpuExecutor(
        wide_model, threads=2, instruction_set=instruction_set, options=found.options()
    )
    given = windows(20)
    assert np.array_equal(executor.run(given), ReferenceExecutor(wide_model).run(given))
    assert said[0][0] == "packing"
    assert said[-1] == ("done", 1.0)
    assert all(0 <= share <= 1 for _, share in said)
    assert set(found.facts["milliseconds"]) == {layer.name for layer in wide_model.layers}
    assert found.facts["packed_bytes"][1] == executor.packed_bytes
    if instruction_set == "scalar":
        assert found.facts["slots_per_nonzero"] == {}
    else:
        assert recurrent_slots(found.facts)
        assert set(found.row_orders) >= {"layer3.forward.recurrent", "layer3.backward.recurrent"}


def test_a_longer_search_wastes_less(
    wide_model: IntegerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "avx512" not in available_instruction_sets():
        pytest.skip("needs sweeps")
    shape = {"sweep_window": 64, "sweep_groups": 4}

    def packed(model: IntegerModel, *, options: dict[str, Any], **settings: Any) -> CpuExecutor:
        return CpuExecutor(model, options={**options, **shape}, **settings)

    monkeypatch.setattr(tuning, "CpuExecutor", packed)  # one shape, before and after
    monkeypatch.setattr(tuning, "SHAPES", {})
    monkeypatch.setattr(tuning, "SMALLEST_GAIN", 1e9)  # whatever the clock says
    found = tune(wide_model, threads=2, instruction_set="avx512", seconds=3.0)
    assert found.facts["turns"] >= 2
    for before, after in recurrent_slots(found.facts):
        assert after < before
    options = {**found.options(), **shape}
    assert np.array_equal(np.sort(found.unit_orders["layer3.forward"]), np.arange(400))
    rows = found.row_orders["layer3.backward.recurrent"]
    assert np.array_equal(np.sort(rows[rows != EMPTY]), np.arange(1600))
    again = CpuExecutor(wide_model, threads=2, instruction_set="avx512", options=options)
    measured = {m["name"]: m["slots_per_nonzero"] for m in again.matrices}
    for name, (_, after) in found.facts["slots_per_nonzero"].items():
        if name.endswith(".recurrent"):  # in one part: a thread a direction
            assert measured[name] == pytest.approx(after, abs=1e-4)


# ---- use of what was found -------------------------------------------------------------------


def tuned(model: IntegerModel) -> tuple[Tuning, Path]:
    """A tuning that shows: all units backwards, and layer 2 stored with its zeros."""
    instruction_set = available_instruction_sets()[-1]
    order = np.arange(20, dtype=np.uint32)[::-1].copy()
    found = Tuning({"layer3.forward": order}, {}, {"layer2": {"dense_tile_from": 0.0}})
    return found, write_tuning(cache_key(describe_layers(model), instruction_set, 1), found)


def test_the_executor_takes_what_was_tuned(model: IntegerModel, windows: Windows) -> None:
    plain = CpuExecutor(model, threads=1)
    assert plain.tuning_file is None
    found, path = tuned(model)
    executor = CpuExecutor(model, threads=1)
    assert executor.tuning_file == path
    assert np.array_equal(
        executor.unit_orders["layer3.forward"], found.unit_orders["layer3.forward"]
    )
    forms = {matrix["name"]: matrix["form"] for matrix in executor.matrices}
    assert forms["layer2"] == "dense"
    given = windows(7)
    assert np.array_equal(executor.run(given), plain.run(given))
    for other in (
        CpuExecutor(model, threads=2),
        CpuExecutor(model, threads=1, options={}),
        CpuExecutor(random_integer_model(np.random.default_rng(1), hidden=20), threads=1),
    ):
        assert other.tuning_file is None
        assert other.unit_orders == {}


def test_a_broken_file_stops_its_model_only(model: IntegerModel, windows: Windows) -> None:
    _, path = tuned(model)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(PackedCacheError, match=f"{path}: .*tune --clear") as caught:
        CpuExecutor(model, threads=1)
    assert "\n" not in str(caught.value)
    assert CpuExecutor(model, threads=2).run(windows(2)).shape == (2, 29)
    path.unlink()
    assert CpuExecutor(model, threads=1).run(windows(2)).shape == (2, 29)


def test_orders_that_do_not_fit_the_model(model: IntegerModel) -> None:
    found, path = tuned(model)
    found.unit_orders["layer3.forward"][0] = 5
    key = cache_key(describe_layers(model), available_instruction_sets()[-1], 1)
    write_tuning(key, found)
    with pytest.raises(PackedCacheError, match=f"{path}: .*no permutation.*tune --clear"):
        CpuExecutor(model, threads=1)


# ---- timing ----------------------------------------------------------------------------------


class Clockwork:
    """Stands for an executor whose layers take the given times, run by run."""

    inputs = 5

    def __init__(self, form: str, **seconds: list[float]) -> None:
        self.matrices = [
            {"name": f"{layer}.x", "form": form, "bytes": 1, "slots_per_nonzero": 1.0}
            for layer in seconds
        ]
        self._seconds = seconds
        self.calls: list[tuple[int, ...]] = []

    def run_timed(self, windows: np.ndarray) -> tuple[None, list[tuple[str, float]]]:
        run = len(self.calls)
        self.calls.append(windows.shape)
        return None, [(name, each[run % len(each)]) for name, each in self._seconds.items()]


def candidate(form: str, *seconds: float, **choice: int | float) -> Candidate:
    clock: Any = Clockwork(form, a=list(seconds))
    return Candidate(clock, {"a": choice} if choice else {})


def test_the_least_times_of_each_half_count() -> None:
    # Two runs a turn: the halves take the runs 0, 1, 4, 5 and 2, 3, 6, 7.
    clock: Any = Clockwork("x", a=[9.0, 3.0, 8.0, 4.0, 5.0, 6.0, 7.0, 2.0], b=[1.0])
    run = Candidate(clock)
    time_candidates([run], 0.0, seed=1, streams=False)
    assert clock.calls == [(50, 5)] * 8
    assert run.seconds == {(50, 0): {"a": 3.0, "b": 1.0}, (50, 1): {"a": 2.0, "b": 1.0}}
    assert run.utterance() == {"a": 2.0, "b": 1.0}


def test_streams_are_timed_by_few_frames_too() -> None:
    clock: Any = Clockwork("x", a=[1.0])
    time_candidates([Candidate(clock)], 0.0, seed=1, streams=True)
    assert clock.calls == [(50, 5), (50, 5), (4, 5), (4, 5)] * 4


@pytest.mark.parametrize(
    ("form", "seconds", "chosen"),
    [
        ("other", [0.5], {"sweep_groups": 4}),
        ("other", [0.97], {"sweep_groups": 4}),
        ("other", [0.99], {}),  # hardly faster
        ("other", [1.5], {}),
        ("other", [0.5, 0.5, 1.1, 1.1], {}),  # in one half of the rounds only
        ("same", [0.5], {}),  # faster by chance: it is packed as the first
    ],
)
def test_only_a_clear_gain_is_chosen(
    form: str, seconds: list[float], chosen: dict[str, int]
) -> None:
    runs = [
        candidate("same", 1.0),
        candidate(form, *seconds, sweep_groups=4),
        candidate("slow", 2.0, sweep_groups=1),
    ]
    time_candidates(runs, 0.0, seed=1, streams=False)
    assert best_choice(runs, "a") == chosen


def test_few_frames_count_as_much_as_an_utterance() -> None:
    slower_utterance = [1.1, 1.1, 0.5, 0.5]  # as runs of 50, 50, 4 and 4 frames
    runs = [candidate("same", 1.0), candidate("other", *slower_utterance, sweep_groups=4)]
    time_candidates(runs, 0.0, seed=1, streams=True)
    assert best_choice(runs, "a") == {"sweep_groups": 4}


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_timing, "_MOST_ROUNDS", 5)
    clock: Any = Clockwork("x", a=[1.0])
    time_candidates([Candidate(clock)], 1e9, seed=1, streams=False)
    assert len(clock.calls) == 10
