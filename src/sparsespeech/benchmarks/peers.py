"""The peers by name: what runs them, and how to start and compare them.

Axes: T frames, B utterances, I inputs, V labels.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.float_network import FloatNetwork, save_network
from sparsespeech.benchmarks.peer_process import PeerProcess, PeerSetup
from sparsespeech.errors import BenchmarkError, MissingDependencyError

LOWEST_CORRELATION = 0.9  # with the logits of our integers; below, it is another network
INSTALL_HINT = "pip install 'sparsespeech[bench]'"


@dataclass(frozen=True)
class PeerKind:
    """How one peer runs: the ``module`` with its ``prepare``, its ``precision``, its libraries.

    ``external``: lives in an interpreter of its own, because its pinned versions and ours exclude
    each other.
    """

    module: str
    precision: str
    libraries: tuple[str, ...]  # modules that must be importable; the first names the peer
    title: str
    environment: Mapping[str, str] = field(default_factory=dict)
    external: bool = False


_ONLY_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
_HERE = "sparsespeech.benchmarks"
_TORCH, _MKL = f"{_HERE}.peers_torch", f"{_HERE}.peers_mkl"
_ONNXRUNTIME, _OPENVINO = f"{_HERE}.peers_onnxruntime", f"{_HERE}.peers_openvino"
_DEEPSPARSE = f"{_HERE}.peers_deepsparse"
_OF_TORCH, _OF_MKL = ("torch",), ("mkl",)
_OF_ONNXRUNTIME, _OF_OPENVINO = ("onnxruntime", "onnx"), ("openvino", "onnx")
_OF_DEEPSPARSE = ("deepsparse", "onnx")
PEERS = {
    "onnxruntime_int8": PeerKind(
        _ONNXRUNTIME, "int8", _OF_ONNXRUNTIME, "ONNX Runtime dynamic int8"
    ),
    "onnxruntime_fp32": PeerKind(_ONNXRUNTIME, "fp32", _OF_ONNXRUNTIME, "ONNX Runtime float32"),
    "torch_int8": PeerKind(_TORCH, "int8", _OF_TORCH, "torch dynamic int8"),
    "torch_bf16": PeerKind(_TORCH, "bf16", _OF_TORCH, "torch bfloat16"),
    "torch_fp32": PeerKind(_TORCH, "fp32", _OF_TORCH, "torch float32"),
    "torch_fp32_avx2": PeerKind(
        _TORCH, "fp32", _OF_TORCH, "torch float32 held to AVX2", _ONLY_AVX2
    ),
    "openvino_bf16": PeerKind(_OPENVINO, "bf16", _OF_OPENVINO, "OpenVINO bfloat16"),
    "openvino_fp32": PeerKind(_OPENVINO, "fp32", _OF_OPENVINO, "OpenVINO float32"),
    "mkl": PeerKind(_MKL, "fp32", _OF_MKL, "MKL sparse products"),
    "deepsparse": PeerKind(
        _DEEPSPARSE, "int8", _OF_DEEPSPARSE, "DeepSparse int8 products", external=True
    ),
}


@dataclass(frozen=True)
class PeerChoice:
    """Which peers a user wants; ``names`` None means all that are installed.

    ``deepsparse_python``: the interpreter that has DeepSparse, if there is one.
    """

    names: tuple[str, ...] | None = None
    deepsparse_python: Path | None = None

    def among(self, candidates: Sequence[str]) -> tuple[list[str], list[str]]:
        """The names of ``candidates`` to run, and a sentence for each that is left out.

        Raises MissingDependencyError for a peer that was named and is not installed.
        """
        chosen, notes = [], []
        for name in candidates:
            if self.names is not None and name not in self.names:
                continue
            missing = self._missing(PEERS[name])
            if missing is None:
                chosen.append(name)
            elif self.names is not None:
                raise MissingDependencyError(f"peer {name}: {missing}")
            else:
                notes.append(f"{PEERS[name].title} was left out: {missing}")
        return chosen, notes

    def _missing(self, kind: PeerKind) -> str | None:
        if kind.external:
            if self.deepsparse_python is None:
                return (
                    "it needs an interpreter of its own: install deepsparse==1.8.0 in a new "
                    "virtual environment of Python 3.11 and name it with --deepsparse-python"
                )
            return None
        if kind.libraries[0] == "mkl":
            from sparsespeech.benchmarks.peers_mkl import find_library

            return None if find_library() else f"mkl is not installed: {INSTALL_HINT}"
        for library in kind.libraries:
            if importlib.util.find_spec(library) is None:
                return f"{library} is not installed: {INSTALL_HINT}"
        return None


def parse_peers(text: str) -> tuple[str, ...] | None:
    """The names of a comma-separated list; "installed" is None, "none" is no peer.

    Raises BenchmarkError for an unknown name.
    """
    if text == "installed":
        return None
    names = tuple(name.strip() for name in text.split(",")) if text != "none" else ()
    for name in names:
        if name not in PEERS:
            raise BenchmarkError(
                f"there is no peer {name!r}; known: {', '.join(PEERS)}, or installed, or none"
            )
    return names


@contextmanager
def started_peers(
    names: Iterable[str],
    network: FloatNetwork,
    windows: NDArray[np.uint8],
    *,
    threads: int,
    choice: PeerChoice,
) -> Iterator[dict[str, PeerProcess]]:
    """The peers, each in a process that sleeps unless it is asked to run.

    ``windows``: uint8[T, I] or uint8[T, B, I]. Raises BenchmarkError if one cannot start.
    """
    with TemporaryDirectory(prefix="sparsespeech-bench-") as name, ExitStack() as running:
        folder = Path(name)
        save_network(network, folder / "network.npz")
        three = windows if windows.ndim == 3 else windows[:, np.newaxis]
        np.save(folder / "windows.npy", three, allow_pickle=False)
        peers = {}
        for peer in names:
            kind = PEERS[peer]
            setup = PeerSetup(
                name=peer,
                module=kind.module,
                precision=kind.precision,
                libraries=kind.libraries,
                environment=kind.environment,
                interpreter=choice.deepsparse_python if kind.external else None,
            )
            peers[peer] = running.enter_context(PeerProcess(setup, folder, threads))
        yield peers


def agreement(peer: PeerProcess, expected: NDArray[np.float64]) -> dict[str, Any]:
    """How far a peer's logits are from ours, in nats: largest difference and correlation.

    ``expected``: our integer logits times their scale, float64[T, V] (or [T, B, V]). Raises
    BenchmarkError if the peer runs another network. A peer without outputs has no entries.
    """
    logits = peer.outputs
    if logits.size == 0:
        return {}
    logits = logits.reshape(expected.shape)
    correlation = float(np.corrcoef(logits.ravel(), expected.ravel())[0, 1])
    if not correlation >= LOWEST_CORRELATION:
        raise BenchmarkError(
            f"peer {peer.name}: its logits correlate with ours by {correlation:.3f} only, so it "
            "does not run the same network; no figure is reported"
        )
    return {
        "largest_difference": float(np.abs(logits - expected).max()),
        "correlation": correlation,
    }
