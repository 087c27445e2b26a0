"""A comparison refuses wrong logits, and reports each peer's time and its distance from ours."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.benchmarks import peers
from sparsespeech.benchmarks.comparison import OURS, Settings, compare, expected_logits
from sparsespeech.benchmarks.engine import Engine, check_equal, cpu_engine
from sparsespeech.benchmarks.latency import make_random_model
from sparsespeech.benchmarks.peers import PeerChoice, PeerKind
from sparsespeech.benchmarks.product_models import (
    product_model,
    random_product,
    random_vectors,
    requantized_product_model,
)
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_speech
from sparsespeech.errors import BackendError, BenchmarkError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from tests.reference_engine import ReferenceEngine


def test_a_single_wrong_logit_ends_the_benchmark(settings: Settings) -> None:
    model = product_model(random_product(8, 6, 0.5))
    wrong = replace(settings, make_engine=functools.partial(ReferenceEngine, wrong=1))
    with pytest.raises(BenchmarkError, match=r"1 of 24 logits differ.*no figure is reported"):
        compare(model, random_vectors(3, 6), wrong, ())
    with pytest.raises(BenchmarkError, match=r"2 of 48 logits differ"):
        compare(model, random_vectors(3, 6)[:, np.newaxis].repeat(2, axis=1), wrong, ())


def test_logits_of_another_shape_end_the_benchmark() -> None:
    with pytest.raises(BenchmarkError, match=r"shape \(2, 3\), the reference gives \(3, 3\)"):
        check_equal("a run", np.zeros((2, 3), np.int64), np.zeros((3, 3), np.int64))


def test_without_peers_there_is_one_row(settings: Settings) -> None:
    compared = compare(product_model(random_product(8, 6, 0.5)), random_vectors(3, 6), settings, ())
    assert [row["name"] for row in compared.rows] == [OURS]
    assert compared.ratios == {}
    assert compared.engine.threads == 1


def test_instruction_set_and_options_reach_the_engine(settings: Settings) -> None:
    made: list[Engine] = []

    def make(*arguments: object, **options: object) -> Engine:
        made.append(ReferenceEngine(*arguments, **options))
        return made[-1]

    compare(
        product_model(random_product(8, 6, 0.5)),
        random_vectors(3, 6),
        replace(settings, make_engine=make),
        (),
        instruction_set="avx2",
        options={"dense_from": 0.0},
    )
    assert (made[0].instruction_set, made[0].options) == ("avx2", {"dense_from": 0.0})


def test_a_batch_is_one_reference_a_distinct_utterance(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_random_model(16)
    speech = FrontEnd.of_model(model).windows(bundled_speech(0.3))
    other = speech[::-1]
    batch = np.stack([speech, other, speech], axis=1)
    runs = []
    original = ReferenceExecutor.run
    monkeypatch.setattr(
        ReferenceExecutor, "run", lambda self, x: runs.append(1) or original(self, x)
    )
    expected = expected_logits(model, batch)
    assert len(runs) == 2
    for number, windows in enumerate((speech, other, speech)):
        assert np.array_equal(expected[:, number], original(ReferenceExecutor(model), windows))


@pytest.fixture
def numpy_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name torch_fp32 for the peer in numpy."""
    kind = PeerKind("tests.numpy_peer", "fp32", ("numpy",), "numpy")
    monkeypatch.setitem(peers.PEERS, "torch_fp32", kind)


@pytest.mark.usefixtures("numpy_peer")
def test_a_peer_is_timed_and_compared(settings: Settings) -> None:
    model = make_random_model(16)
    speech = FrontEnd.of_model(model).windows(bundled_speech(0.3))
    beside = replace(settings, peers=PeerChoice(("torch_fp32",)), rounds=2, threads=2)
    compared = compare(model, np.stack([speech, speech[::-1]], axis=1), beside, ("torch_fp32",))
    ours, theirs = compared.rows
    assert (ours["ratio"], theirs["title"]) == (1.0, "numpy")
    assert theirs["correlation"] > 0.999
    assert theirs["ratio"] == compared.timings["torch_fp32"].median / compared.ours.median
    assert theirs["notes"] == "threads 2"
    result = BenchResult("latency", {})
    compared.record(result, "acoustic model", weights="random")
    assert result.machine["versions"]["numpy"] == np.__version__
    assert [row["weights"] for row in result.table("acoustic model")] == ["random"] * 2


@pytest.mark.usefixtures("numpy_peer")
def test_a_peer_may_get_another_model(settings: Settings) -> None:
    matrix = random_product(40, 30, 0.3)
    compared = compare(
        requantized_product_model(matrix),
        random_vectors(5, 30),
        replace(settings, peers=PeerChoice(("torch_fp32",))),
        ("torch_fp32",),
        peer_model=product_model(matrix),
    )
    assert compared.rows[1]["largest_difference"] == 0


def test_an_absent_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sparsespeech.cpu_engine.engine", None)
    with pytest.raises(BackendError, match="install a C\\+\\+20 compiler"):
        cpu_engine()
