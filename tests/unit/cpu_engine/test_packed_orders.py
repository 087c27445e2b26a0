"""Orders of units and rows: they may change how a model is packed, never what it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.cpu_engine.native import available_instruction_sets
from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel
from tests.random_models import random_integer_model

EMPTY = 2**32 - 1
Orders = dict[str, NDArray[np.uint32]]
Windows = Callable[[int], Any]


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("sparsespeech._native", reason="the engine was not built")
    if not hasattr(module, "engine"):
        pytest.skip("the compiled module has no engine")
    monkeypatch.delenv("SPARSESPEECH_CPU_ISA", raising=False)


# Windows so narrow that the sweeps of a small model waste slots.
NARROW = {"sweep_window": 64, "sweep_groups": 4}


def wide_model(bidirectional: bool = True) -> IntegerModel:
    """With rows of about 22 nonzeros."""
    return random_integer_model(
        np.random.default_rng(3), hidden=320, sparsity=0.93, bidirectional=bidirectional
    )


def swept(executor: CpuExecutor) -> bool:
    return any("sweep" in matrix["form"] for matrix in executor.matrices)


def shuffled(orders: Orders, parts: int, rng: np.random.Generator) -> Orders:
    """The same slots in another order inside each of ``parts`` equal parts."""
    return {
        name: np.concatenate([rng.permutation(part) for part in np.split(order, parts)])
        for name, order in orders.items()
    }


def slots(executor: CpuExecutor) -> float:
    return sum(
        matrix["slots_per_nonzero"] * matrix["nonzeros"]
        for matrix in executor.matrices
        if matrix["name"].endswith(".recurrent")
    )


@pytest.mark.parametrize(
    "settings",
    [{}, {"peephole": True}, {"per_row": True, "peephole": True}, {"bidirectional": False}],
)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_order_of_units(settings: dict[str, Any], threads: int, windows: Windows) -> None:
    rng = np.random.default_rng(4)
    model = random_integer_model(rng, hidden=50, **settings)
    orders = {}
    if settings.get("bidirectional", True):
        orders["layer3.backward"] = rng.permutation(50).astype(np.uint32)
    if threads < 3 or not orders:  # else the forward units stay where they are
        orders["layer3.forward"] = rng.permutation(50).astype(np.uint32)
    given = windows(20)
    expected = ReferenceExecutor(model).run(given)
    for instruction_set in available_instruction_sets():
        executor = CpuExecutor(
            model,
            threads=threads,
            instruction_set=instruction_set,
            options={"unit_orders": orders},
        )
        assert executor.unit_orders.keys() == orders.keys()
        assert np.array_equal(executor.run(given), expected)
        assert np.array_equal(executor.run(given[:3]), ReferenceExecutor(model).run(given[:3]))
        for logits, length in zip(
            executor.run_batch([given[:n] for n in range(20)]), range(20), strict=True
        ):
            assert np.array_equal(logits, ReferenceExecutor(model).run(given[:length]))


def test_streams_follow_the_order(windows: Windows) -> None:
    rng = np.random.default_rng(5)
    model = random_integer_model(rng, hidden=40, bidirectional=False)
    orders = {"layer3.forward": rng.permutation(40).astype(np.uint32)}
    executor = CpuExecutor(model, threads=2, options={"unit_orders": orders})
    given = windows(45)
    session = executor.stream()
    parts = [session.push(given[first : first + 20]) for first in range(0, 45, 20)]
    assert np.array_equal(np.concatenate(parts), ReferenceExecutor(model).run(given))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_any_order_of_rows(threads: int, windows: Windows) -> None:
    rng = np.random.default_rng(6)
    model = random_integer_model(rng, hidden=64, projection=16)
    given = windows(20)
    expected = ReferenceExecutor(model).run(given)
    executor = CpuExecutor(model, threads=threads, options={"search": {"every_matrix": True}})
    if not swept(executor):
        pytest.skip("no kernels here sweep")
    found = executor.row_orders
    assert set(found) == {
        "layer1", "layer2", "layer3.forward.recurrent", "layer3.backward.recurrent", "layer4",
        "layer5",
    }  # fmt: skip
    for name, order in found.items():
        parts = max(1, threads // 2) if "layer3" in name else threads
        options = {"row_orders": {**found, **shuffled({name: order}, parts, rng)}}
        again = CpuExecutor(model, threads=threads, options=options)
        assert np.array_equal(again.run(given), expected)
        assert np.array_equal(again.run(given[:4]), ReferenceExecutor(model).run(given[:4]))


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_search_saves_slots_and_is_repeatable(bidirectional: bool, windows: Windows) -> None:
    model = wide_model(bidirectional)
    none = {"column_rounds": 0, "swaps_per_row": 0}
    untouched = CpuExecutor(model, threads=2, options={**NARROW, "search": none})
    if not swept(untouched):
        pytest.skip("no kernels here sweep")
    assert untouched.unit_orders == {}
    found = CpuExecutor(model, threads=2, options=NARROW)
    search = {"column_rounds": 10, "swaps_per_row": 200}
    longer = CpuExecutor(model, threads=2, options={**NARROW, "search": search})
    assert slots(found) < 0.97 * slots(untouched)
    assert slots(longer) < slots(found)
    directions = {"layer3.forward", "layer3.backward"} if bidirectional else {"layer3.forward"}
    assert set(found.unit_orders) == directions
    for executor in (found, longer):
        for order in executor.unit_orders.values():
            assert np.array_equal(np.sort(order), np.arange(320))
        for name in directions:
            order = executor.row_orders[f"{name}.recurrent"]
            assert np.array_equal(np.sort(order[order != EMPTY]), np.arange(4 * 320))
    seeded = CpuExecutor(model, threads=2, options={**NARROW, "search": {"seed": 2}})
    name = "layer3.forward"
    assert not np.array_equal(seeded.unit_orders[name], found.unit_orders[name])
    units = {**NARROW, "unit_orders": found.unit_orders}
    seeded = CpuExecutor(model, threads=2, options={**units, "search": {"seed": 2}})
    assert np.array_equal(seeded.unit_orders[name], found.unit_orders[name])
    assert not np.array_equal(
        seeded.row_orders[f"{name}.recurrent"], found.row_orders[f"{name}.recurrent"]
    )
    again = CpuExecutor(model, threads=2, options=NARROW)
    assert again.row_orders.keys() == found.row_orders.keys()
    assert all(np.array_equal(found.row_orders[n], again.row_orders[n]) for n in found.row_orders)
    given = windows(9)
    expected = ReferenceExecutor(model).run(given)
    for executor in (untouched, found, longer):
        assert np.array_equal(executor.run(given), expected)


def test_given_orders_are_taken_as_they_are_and_can_be_improved() -> None:
    model = wide_model()
    first = CpuExecutor(model, threads=2, options={**NARROW, "search": {"swaps_per_row": 1}})
    if not swept(first):
        pytest.skip("no kernels here sweep")
    orders = {**NARROW, "unit_orders": first.unit_orders, "row_orders": first.row_orders}
    same = CpuExecutor(
        model,
        threads=2,
        options={**orders, "search": {"column_rounds": 0, "swaps_per_row": 0}},
    )
    assert slots(same) == slots(first)
    for name, order in first.row_orders.items():
        assert np.array_equal(same.row_orders[name], order)
    for name, order in first.unit_orders.items():
        assert np.array_equal(same.unit_orders[name], order)
    better = CpuExecutor(model, threads=2, options={**orders, "search": {"swaps_per_row": 50}})
    assert slots(better) < slots(first)
    for name, order in first.unit_orders.items():
        assert np.array_equal(better.unit_orders[name], order)


def test_layers_are_packed_as_chosen(windows: Windows) -> None:
    model = random_integer_model(np.random.default_rng(7), hidden=60, sparsity=0.5)
    given = windows(20)
    expected = ReferenceExecutor(model).run(given)

    def forms(**layers: dict[str, object]) -> dict[str, str]:
        executor = CpuExecutor(model, threads=1, options={"layers": layers})
        assert np.array_equal(executor.run(given), expected)
        return {matrix["name"]: matrix["form"] for matrix in executor.matrices}

    always, never = {"dense_tile_from": 0.0}, {"dense_tile_from": 2.0}
    assert forms(layer2=always)["layer2"] == "dense"
    assert forms(layer2=never)["layer2"] != "dense"
    chosen = forms(layer2=never, layer3={"dense_tile_from": 2.0, "dense_product_from": 0.0})
    assert chosen["layer3.forward.input"] != "dense"
    assert chosen["layer3.forward.recurrent"] == "dense"
    for window in (64, 96, 128, 192, 256):
        for groups in (1, 2, 4):
            forms(layer3={**never, "sweep_window": window, "sweep_groups": groups})


@pytest.mark.parametrize(
    ("options", "flaw"),
    [
        ({"unit_orders": {"layer3.forward": np.arange(49)}}, "units of layer3.forward"),
        ({"unit_orders": {"layer3.forward": np.zeros(50)}}, "units of layer3.forward"),
        ({"unit_orders": {"layer3.forward": np.arange(1, 51)}}, "units of layer3.forward"),
        ({"unit_orders": {"layer2": np.arange(50)}}, "belongs to no LSTM"),
        ({"row_orders": {"layer3": np.arange(200)}}, "belongs to no matrix"),
        ({"row_orders": {"layer2": np.arange(50)}}, "too few slots"),
        ({"row_orders": {"layer2": np.arange(64)}}, "does not hold the rows"),
        ({"row_orders": {"layer2": np.r_[np.arange(50), [EMPTY] * 78]}}, "too many slots"),
        ({"row_orders": {"layer2": np.r_[np.zeros(50), [EMPTY] * 14]}}, "does not hold the rows"),
        ({"layers": {"layer9": {}}}, "a layer that the model does not have"),
        ({"layers": {"layer2": {"sweep_window": 80, "sweep_groups": 4}}}, "no sweep with this"),
        ({"layers": {"layer2": {"sweep_window": 256, "sweep_groups": 3}}}, "no sweep with this"),
        ({"sweep_window": 512, "sweep_groups": 4}, "no sweep with this"),
    ],
)
def test_orders_that_do_not_fit_are_refused(options: dict[str, Any], flaw: str) -> None:
    model = random_integer_model(np.random.default_rng(8), hidden=50)
    for name in ("unit_orders", "row_orders"):
        if name in options:
            options = {name: {key: value.astype(np.uint32) for key, value in options[name].items()}}
    with pytest.raises(UnsupportedLayerError, match=flaw):
        CpuExecutor(model, threads=1, options=options)


def test_projected_units_keep_their_order() -> None:
    model = random_integer_model(np.random.default_rng(9), hidden=50, projection=20)
    orders = {"layer3.forward": np.arange(20, dtype=np.uint32)}
    with pytest.raises(UnsupportedLayerError, match="or they are projected"):
        CpuExecutor(model, threads=1, options={"unit_orders": orders})
