"""The engine and its peers on one model and one input, in turns.

Axes: T frames, B utterances, W inputs of one window, V labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.engine import (
    Engine,
    EngineMaker,
    Logits,
    Windows,
    check_equal,
    reference_logits,
)
from sparsespeech.benchmarks.float_network import float_network
from sparsespeech.benchmarks.measurement import (
    LocalContender,
    Timing,
    ratio_row,
    take_turns,
)
from sparsespeech.benchmarks.peers import PEERS, PeerChoice, agreement, started_peers
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.model_file.model import IntegerModel, OutputLayer

OURS = "sparsespeech"


@dataclass(frozen=True)
class Settings:
    """What all comparisons share; ``on_progress`` is told what is measured now."""

    make_engine: EngineMaker
    peers: PeerChoice
    threads: int
    rounds: int
    on_progress: Callable[[str], None] = lambda what: None


@dataclass
class Comparison:
    """What came out; ``rows`` has ours first."""

    engine: Engine
    ours: Timing
    expected: Logits  # of the reference, int64[T, V] or int64[T, B, V]
    timings: dict[str, Timing]  # of the peers
    rows: list[Row]
    notes: list[str] = field(default_factory=list)  # what was left out
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, float]:
        """Ratio of medians by the name of the peer."""
        return {name: timing.median / self.ours.median for name, timing in self.timings.items()}

    def record(self, result: BenchResult, table: str, **columns: object) -> None:
        """Add the rows, with ``columns`` before them, and what is to be known about the peers."""
        result.add_rows(table, *({**columns, **row} for row in self.rows))
        result.add_versions(self.versions)
        left_out = result.config.setdefault("left_out", [])
        left_out += [note for note in self.notes if note not in left_out]


def compare(
    model: IntegerModel,
    windows: Windows,
    settings: Settings,
    candidates: Sequence[str],
    *,
    instruction_set: str | None = None,
    options: Mapping[str, object] | None = None,
    peer_model: IntegerModel | None = None,
) -> Comparison:
    """Time ``model`` on windows uint8[T, W], or a batch uint8[T, B, W], beside its peers.

    Peers are the installed ones of ``candidates``; they get the network of ``peer_model`` where
    that is another one. ``instruction_set`` and ``options`` go to the engine. Raises BenchmarkError
    if any logit of any run differs from the reference, or if a peer fails or runs another network.
    """
    expected = expected_logits(model, windows)
    engine = settings.make_engine(
        model, threads=settings.threads, instruction_set=instruction_set, options=options
    )
    contender = engine_contender(OURS, engine, windows, expected)
    names, notes = settings.peers.among(candidates)
    beside = f" beside {', '.join(names)}" if names else ""
    settings.on_progress(f"{engine.instruction_set}, {settings.threads} threads{beside}")
    if not names:
        ours = take_turns(contender, [], rounds=settings.rounds)[OURS]
        return Comparison(engine, ours, expected, {}, [_our_row(ours)], notes)
    nats = expected * _logit_scale(model)
    if peer_model is not None:
        nats = expected_logits(peer_model, windows) * _logit_scale(peer_model)
    network = float_network(peer_model or model)
    with started_peers(
        names, network, windows, threads=settings.threads, choice=settings.peers
    ) as peers:
        agreements = {name: agreement(peer, nats) for name, peer in peers.items()}
        timings = take_turns(contender, list(peers.values()), rounds=settings.rounds)
        ours = timings.pop(OURS)
        rows = [_our_row(ours)]
        for name, peer in peers.items():
            row = timings[name].to_row() | ratio_row(timings[name], ours) | agreements[name]
            row |= {"title": PEERS[name].title, "resident_mib": round(peer.resident_mib)}
            rows.append(row | {"notes": ", ".join(f"{k} {v}" for k, v in peer.notes.items())})
        versions = {k: v for peer in peers.values() for k, v in peer.versions.items()}
    return Comparison(engine, ours, expected, timings, rows, notes, versions)


def expected_logits(model: IntegerModel, windows: Windows) -> Logits:
    """The reference's logits int64[T, V], or int64[T, B, V]; equal utterances are run once."""
    if windows.ndim == 2:
        return reference_logits(model, windows)
    known: dict[bytes, Logits] = {}
    columns = []
    for number in range(windows.shape[1]):
        utterance = np.ascontiguousarray(windows[:, number])
        key = utterance.tobytes()
        if key not in known:
            known[key] = reference_logits(model, utterance)
        columns.append(known[key])
    return np.stack(columns, axis=1)


def engine_contender(
    name: str, engine: Engine, windows: Windows, expected: Logits
) -> LocalContender:
    """Runs of ``engine`` on one utterance or a batch, each compared with ``expected``."""
    if windows.ndim == 2:
        return LocalContender(
            name, lambda: engine.run(windows), lambda logits: check_equal(name, logits, expected)
        )
    batch = [np.ascontiguousarray(windows[:, number]) for number in range(windows.shape[1])]

    def check(results: list[Logits]) -> None:
        check_equal(name, np.stack(results, axis=1), expected)

    return LocalContender(name, lambda: engine.run_batch(batch), check)


def _our_row(ours: Timing) -> Row:
    return ours.to_row() | {"title": OURS, "ratio": 1.0}


def _logit_scale(model: IntegerModel) -> NDArray[np.float64]:
    output = model.layers[-1]
    assert isinstance(output, OutputLayer)
    return output.scale.astype(np.float64)
