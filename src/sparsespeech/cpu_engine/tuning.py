"""The search behind ``sparsespeech tune``: the best orders and kernels for one model on this CPU.

First the kernels: the engine is built with each shape of sweep, and with dense matrices where a
layer has many nonzeros, and every layer is timed. Then the orders: units and rows are moved so
that the sweeps waste fewer slots. In the end what was found runs beside the untuned engine, and
is not kept if that is clearly faster. None of this can change a logit.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.cpu_engine.layer_timing import (
    SMALLEST_GAIN,
    Candidate,
    best_choice,
    layer_of,
    time_candidates,
)
from sparsespeech.cpu_engine.packed_cache import ALWAYS, NEVER, Choice, Choices, Tuning
from sparsespeech.model_file.model import IntegerModel

Options = dict[str, Any]
Report = Callable[[str, float], None]  # what is done now, and the share of all that is done

WINDOWS = {"avx2": (64, 96, 128), "avx512": (192, 256), "amx": (192, 256)}
SHAPES: dict[str, list[Choice]] = {
    instruction_set: [
        {"sweep_window": window, "sweep_groups": groups}
        for window, groups in itertools.product(windows, (1, 2, 4))
    ]
    for instruction_set, windows in WINDOWS.items()
}
DENSE_FROM = 0.1  # a matrix with fewer nonzeros is never faster with its zeros
COLUMN_ROUNDS = 30
REACHES = (8, 16, 32)  # bundles between rows that are swapped; a wide reach too early gets stuck
FIRST_SWAPS, MOST_SWAPS = 32, 512  # a row, in one turn of the search
TURN_SECONDS = 2.0
LEAST_GAIN_OF_A_TURN = 0.0002  # of all slots; less, and the next turn reaches wider
_KERNELS, _ORDERS = 0.3, 0.9  # shares of the time when these are done; then they are compared


def tune(
    model: IntegerModel,
    *,
    threads: int,
    instruction_set: str,
    seconds: float,
    seed: int = 1,
    report: Report = lambda what, share: None,
) -> Tuning:
    """What makes ``model`` fastest here, found in about ``seconds``.

    It takes longer where the least that it does takes longer: a few times the time of loading for
    each way to pack. The same ``seed`` and number of turns find the same orders. Raises the errors
    of CpuExecutor.
    """
    return _Search(model, threads, instruction_set, seconds, seed, report).run()


class _Search:
    """One run of :func:`tune`."""

    def __init__(
        self,
        model: IntegerModel,
        threads: int,
        instruction_set: str,
        seconds: float,
        seed: int,
        report: Report,
    ) -> None:
        self._model = model
        self._threads = threads
        self._instruction_set = instruction_set
        self._seconds = seconds
        self._seed = seed
        self._report = report
        self._start = time.perf_counter()
        self._turns = 0

    def run(self) -> Tuning:
        self._say("packing")
        untuned = self._pack({})
        layers = self._choose_kernels(untuned)
        ordered = self._find_orders(layers)
        self._say("comparing")
        orders = _orders(ordered)
        candidates = [Candidate(ordered, layers)]
        if layers:
            candidates.append(Candidate(self._pack(Tuning(*orders).options())))
        before = Candidate(untuned)
        self._time([before, *candidates], 1 - _ORDERS)
        best = min(candidates, key=_utterance_seconds)
        # Fewer slots are faster by less than a busy machine lets one see.
        if _utterance_seconds(best) > (1 + SMALLEST_GAIN) * _utterance_seconds(before):
            best = before
        self._report("done", 1.0)
        return Tuning(*_orders(best.executor), best.layers, self._facts(before, best))

    def _choose_kernels(self, untuned: CpuExecutor) -> Choices:
        """For each layer the shape of sweep and the dense forms that are clearly faster."""
        layers: Choices = {}
        for packings in (self._shapes(untuned), _dense_forms(untuned)):
            candidates = [Candidate(untuned)]
            for packing in packings:
                self._say("packing")
                candidates.append(Candidate(self._pack({"layers": packing}), packing))
            if not packings:
                continue
            self._say("timing kernels")
            self._time(candidates, _KERNELS / 2)
            for name in packings[0]:
                if found := best_choice(candidates, name):
                    layers[name] = {**layers.get(name, {}), **found}
        return layers

    def _shapes(self, untuned: CpuExecutor) -> list[Choices]:
        """Each shape of sweep, for all layers that are swept."""
        names = {layer_of(matrix) for matrix in untuned.matrices if "sweep" in matrix["form"]}
        shapes = SHAPES.get(self._instruction_set, []) if names else []
        return [dict.fromkeys(names, shape) for shape in shapes]

    def _find_orders(self, layers: Choices) -> CpuExecutor:
        """An engine whose orders were searched for as long as time and gains last."""
        self._say("ordering units")
        swaps, wider = FIRST_SWAPS, 0
        by_default = self._pack({"layers": layers})
        best = min(by_default, self._take_turn(layers, {}, swaps, REACHES[0]), key=_wasted)
        while wider < len(REACHES) and self._spent() < _ORDERS * self._seconds:
            self._say(f"ordering rows, {_wasted(best):.1%} wasted")
            before = self._spent()
            unit_orders, row_orders = _orders(best)
            given = {"unit_orders": unit_orders, "row_orders": row_orders}
            found = self._take_turn(layers, given, swaps, REACHES[wider])
            if _wasted(best) - _wasted(found) < LEAST_GAIN_OF_A_TURN:
                wider += 1
            if self._spent() - before < TURN_SECONDS / 2:
                swaps = min(2 * swaps, MOST_SWAPS)
            best = found
        return best

    def _take_turn(self, layers: Choices, orders: Options, swaps: int, reach: int) -> CpuExecutor:
        """An engine that begins with ``orders`` and improves them."""
        search = {
            "column_rounds": COLUMN_ROUNDS,
            "swaps_per_row": swaps,
            "most_swaps": 2**62,  # the clock bounds the search
            "reach": reach,
            "every_matrix": True,
            "seed": self._seed + self._turns,
        }
        self._turns += 1
        return self._pack({"layers": layers, **orders, "search": search})

    def _pack(self, options: Options) -> CpuExecutor:
        return CpuExecutor(
            self._model,
            threads=self._threads,
            instruction_set=self._instruction_set,
            options=options,
        )

    def _time(self, candidates: Sequence[Candidate], share: float) -> None:
        streams = not self._model.graph.bidirectional
        time_candidates(candidates, share * self._seconds, seed=self._seed, streams=streams)

    def _spent(self) -> float:
        return time.perf_counter() - self._start

    def _say(self, what: str) -> None:
        self._report(what, min(1.0, self._spent() / self._seconds))

    def _facts(self, untuned: Candidate, best: Candidate) -> dict[str, Any]:
        """Figures, each untuned and tuned."""
        before = _slots_by_matrix(untuned.executor.matrices)
        after = _slots_by_matrix(best.executor.matrices)
        return {
            "seed": self._seed,
            "turns": self._turns,
            "seconds": round(self._spent(), 1),
            "milliseconds": {
                layer: [round(1e3 * seconds, 4), round(1e3 * best.utterance()[layer], 4)]
                for layer, seconds in untuned.utterance().items()
            },
            "slots_per_nonzero": {
                name: [round(before.get(name, 0.0), 4), round(slots, 4)]
                for name, slots in after.items()
            },
            "packed_bytes": [untuned.executor.packed_bytes, best.executor.packed_bytes],
        }


def _dense_forms(untuned: CpuExecutor) -> list[Choices]:
    """With and without zeros, for all layers with many nonzeros."""
    filled = {layer_of(matrix) for matrix in untuned.matrices if _density(matrix) > DENSE_FROM}
    recurrent = {
        layer_of(matrix) for matrix in untuned.matrices if matrix["name"].endswith(".recurrent")
    }
    if not filled:
        return []
    # Vector products have a density of their own in recurrent layers only.
    return [
        {
            name: {"dense_tile_from": tile}
            | ({"dense_product_from": product} if name in recurrent else {})
            for name in filled
        }
        for product, tile in itertools.product((ALWAYS, NEVER), repeat=2)
    ]


def _utterance_seconds(candidate: Candidate) -> float:
    return sum(candidate.utterance().values())


def _density(matrix: Mapping[str, Any]) -> float:
    size = matrix["rows"] * matrix["columns"]
    return float(matrix["nonzeros"] / size) if size else 0.0


def _orders(executor: CpuExecutor) -> tuple[Any, Any]:
    return executor.unit_orders, executor.row_orders


def _slots_by_matrix(matrices: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Slots a nonzero of each swept matrix, its parts together."""
    sums: dict[str, tuple[float, int]] = {}
    for matrix in matrices:
        if matrix["slots_per_nonzero"]:
            slots, nonzeros = sums.get(matrix["name"], (0.0, 0))
            slots += matrix["slots_per_nonzero"] * matrix["nonzeros"]
            sums[matrix["name"]] = (slots, nonzeros + matrix["nonzeros"])
    return {name: slots / nonzeros for name, (slots, nonzeros) in sums.items()}


def _wasted(executor: CpuExecutor) -> float:
    """Share of the slots without a nonzero, in the sweeps whose orders are searched."""
    slots = nonzeros = 0.0
    for matrix in executor.matrices:
        if matrix["slots_per_nonzero"] and not matrix["name"].endswith((".input", ".projection")):
            slots += matrix["slots_per_nonzero"] * matrix["nonzeros"]
            nonzeros += matrix["nonzeros"]
    return 1 - nonzeros / slots if slots else 0.0
