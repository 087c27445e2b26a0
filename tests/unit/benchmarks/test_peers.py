"""Which peers run, how their processes behave, and what happens when one fails."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.benchmarks import peers
from sparsespeech.benchmarks.float_network import FloatNetwork, float_network
from sparsespeech.benchmarks.peer_process import PeerProcess
from sparsespeech.benchmarks.peers import (
    PEERS,
    PeerChoice,
    PeerKind,
    agreement,
    parse_peers,
    started_peers,
)
from sparsespeech.benchmarks.product_models import product_model, random_product, random_vectors
from sparsespeech.errors import BenchmarkError, MissingDependencyError

_CHOICE = PeerChoice(("torch_fp32",))


def _network() -> FloatNetwork:
    return float_network(product_model(random_product(12, 10, 0.5)))


def _numpy_kind(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    kind = PeerKind("tests.numpy_peer", precision, ("numpy",), "numpy")
    monkeypatch.setitem(peers.PEERS, "torch_fp32", kind)


def _start(monkeypatch: pytest.MonkeyPatch, precision: str) -> PeerProcess:
    """The peer after its context was left, or the error of its start."""
    _numpy_kind(monkeypatch, precision)
    with started_peers(
        ["torch_fp32"], _network(), random_vectors(4, 10), threads=1, choice=_CHOICE
    ) as started:
        started["torch_fp32"].time_runs(2)
        return started["torch_fp32"]


def test_names_are_parsed() -> None:
    assert parse_peers("installed") is None
    assert parse_peers("none") == ()
    assert parse_peers("mkl, torch_fp32") == ("mkl", "torch_fp32")
    with pytest.raises(BenchmarkError, match="no peer 'tensorrt'; known: onnxruntime_int8"):
        parse_peers("mkl,tensorrt")


def test_absent_peers_are_left_out_unless_they_were_named(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = PeerKind("tests.numpy_peer", "fp32", ("no_such_library",), "Absent")
    monkeypatch.setitem(peers.PEERS, "torch_bf16", absent)
    _numpy_kind(monkeypatch, "fp32")
    chosen, notes = PeerChoice().among(["torch_bf16", "torch_fp32", "deepsparse"])
    assert chosen == ["torch_fp32"]
    assert "Absent was left out: no_such_library is not installed" in notes[0]
    assert "pip install 'sparsespeech[bench]'" in notes[0]
    assert "--deepsparse-python" in notes[1]
    with pytest.raises(MissingDependencyError, match="peer torch_bf16: no_such_library"):
        PeerChoice(("torch_bf16",)).among(["torch_bf16"])
    with pytest.raises(MissingDependencyError, match="--deepsparse-python"):
        PeerChoice(("deepsparse",)).among(["deepsparse"])
    assert PeerChoice(("mkl",)).among(["torch_fp32"]) == ([], [])


def test_a_process_is_stopped_except_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    _numpy_kind(monkeypatch, "fp32")
    with started_peers(
        ["torch_fp32"], _network(), random_vectors(4, 10), threads=1, choice=_CHOICE
    ) as started:
        peer = started["torch_fp32"]
        number = peer._process.pid
        for _ in range(2):
            _wait_until_stopped(number)
            seconds = peer.time_runs(3)
            assert len(seconds) == 3
            assert all(0 < value < 60 for value in seconds)
        assert peer.versions == {"numpy": np.__version__}
        assert peer.notes == {"threads": "1"}
        assert 10 < peer.resident_mib < 1000
    assert not Path(f"/proc/{number}").exists()


def _wait_until_stopped(number: int) -> None:
    """The signal takes a moment to act."""
    for _ in range(10_000):
        status = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        if status == "T":
            return
        os.sched_yield()
    pytest.fail("the process of the peer is not stopped")


def test_outputs_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    network, vectors = _network(), random_vectors(4, 10)
    _numpy_kind(monkeypatch, "fp32")
    with started_peers(["torch_fp32"], network, vectors, threads=1, choice=_CHOICE) as started:
        expected = (vectors - 128.0) @ network.layers[0].weights.dense().T
        close = agreement(started["torch_fp32"], expected)
        assert close == {"largest_difference": 0.0, "correlation": pytest.approx(1.0)}
        shifted = agreement(started["torch_fp32"], expected + 2.5)
        assert shifted["largest_difference"] == 2.5
        with pytest.raises(BenchmarkError, match="does not run the same network"):
            agreement(started["torch_fp32"], np.roll(expected, 1, axis=1))


def test_another_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = _start(monkeypatch, "noise")
    with pytest.raises(BenchmarkError, match="peer torch_fp32: its logits correlate"):
        agreement(peer, np.arange(48.0).reshape(4, 12))


def test_a_peer_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)torch_fp32 stopped: .*no such accelerator"):
        _start(monkeypatch, "broken")


def test_a_peer_that_dies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchmarkError, match="peer torch_fp32 stopped"):
        _start(monkeypatch, "fragile")


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    choice = PeerChoice(("deepsparse",), tmp_path / "python")
    with (
        pytest.raises(BenchmarkError, match="deepsparse cannot be started.*No such file"),
        started_peers(["deepsparse"], _network(), random_vectors(1, 10), threads=1, choice=choice),
    ):
        pass


def test_every_peer_has_a_module_of_its_own() -> None:
    for kind in PEERS.values():
        assert Path(peers.__file__).with_name(f"{kind.module.rpartition('.')[2]}.py").exists()
