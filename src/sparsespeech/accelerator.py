"""The driver: one program on an accelerator, the layers behind it on the host.

Axes: T frames of an utterance, t frames of a piece of it, C inputs of one window (494), O outputs
of the last layer on the accelerator, V labels with the blank. Windows and outputs are uint8,
logits int64 (rule R9).

The driver knows an accelerator by the contract of ``accelerator_device.py`` alone, so that it is
the same for the simulator and for hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_counters import Counters
from sparsespeech.accelerator_device import Device, Outputs, device_names, load_device
from sparsespeech.accelerator_waves import check_windows, host_inputs
from sparsespeech.audio.reading import read_audio
from sparsespeech.backend import Executor, Session, Threads, default_backend, load_backend
from sparsespeech.compiler.program import Program
from sparsespeech.compiler.program_file import check_same_config, load_program
from sparsespeech.errors import AcceleratorError, BackendError
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.features.mfcc import MfccConfig, extract_mfcc
from sparsespeech.graph import Graph
from sparsespeech.model_file.model import IntegerModel

Frames = NDArray[np.uint8]
Logits = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class UtteranceLogits:
    """Logits of frames ``first`` to ``first + t - 1`` of an utterance."""

    utterance: int
    first: int
    logits: Logits  # int64[t, V]
    last: bool  # nothing of the utterance follows


@dataclass(frozen=True, eq=False)
class AcceleratorRun:
    """What came back, one entry an utterance in the order given, and when."""

    outputs: tuple[Frames, ...]  # uint8[T, O]
    logits: tuple[Logits, ...]  # int64[T, V]
    counters: Counters
    config: AcceleratorConfig

    @property
    def latency_cycles(self) -> tuple[int, ...]:
        """From the first flit of an utterance to its last activation at the host."""
        return tuple(times.latency for times in self.counters.utterances)

    @property
    def latency_s(self) -> tuple[float, ...]:
        """The same in seconds, at the frequency of the configuration."""
        return tuple(map(self.config.seconds, self.latency_cycles))


class Accelerator:
    """One accelerator with a program, and a host behind it; a context manager.

    :meth:`run` is all that whole utterances need. :meth:`begin`, :meth:`push`, :meth:`finish` and
    :meth:`read` are for sound that comes in pieces, or for several speakers at once; the module
    ``accelerator_device`` says when results come and what is refused.
    """

    def __init__(
        self,
        program: Program | str | Path,
        backend: str | Device = "simulator",
        *,
        config: AcceleratorConfig | None = None,
        host_backend: str | None = None,
        threads: Threads = "auto",
    ) -> None:
        """Load ``program``, or the program file of that path, into ``backend``.

        ``backend``: a name of ``device_names()``, or a device, which is closed with this object.
        With ``config``, the accelerator one has, a program for any other configuration is refused.
        ``host_backend`` runs the layers that are not on the accelerator, on ``threads``; None:
        "cpu", or "reference" where the native engine was not built. Raises ProgramFileError or
        BackendError.
        """
        self._host_backend = host_backend
        self._threads = threads
        self._hosts: dict[int, _HostUtterance] = {}
        loaded = _read_program(program, config)
        self.device = load_device(backend, loaded.config) if isinstance(backend, str) else backend
        self._load(loaded)

    def load(self, program: Program | str | Path) -> None:
        """Take another program; utterances and results of the one before are dropped.

        Raises ProgramFileError for one that was compiled for another configuration than the
        accelerator's, and keeps the one before.
        """
        self._load(_read_program(program, self.device.config))

    def run(
        self,
        features: Frames | Sequence[Frames],
        *,
        in_flight: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> AcceleratorRun:
        """Run one utterance, or several of them, from cycle 0 on.

        ``features``: feature windows uint8[T, C] of an utterance (:meth:`windows` makes them), or
        a list of such; ``in_flight`` so many are interleaved frame by frame; ``progress`` is told
        how many were sent. What was pushed before is dropped. Raises InputWindowsError,
        AcceleratorError for no utterance or one without frames, and AcceleratorFullError for more
        than the accelerator holds.
        """
        if not isinstance(features, (np.ndarray, Sequence)) or isinstance(features, str):
            check_windows(features, host_inputs(self.program))  # names what they should be
        utterances: list[Frames] = [features] if isinstance(features, np.ndarray) else [*features]
        if not utterances:
            raise AcceleratorError("no utterance was given; expected at least one")
        if in_flight < 1:
            raise AcceleratorError(f"{in_flight} utterances in flight; expected at least 1")
        self.reset()
        try:
            names: list[int] = []
            for first in range(0, len(utterances), in_flight):
                names += self._send_wave(utterances[first : first + in_flight])
                if progress is not None:
                    progress(len(names))
            pieces: dict[int, list[Frames]] = {name: [] for name in names}
            for part in self.device.read():
                pieces[part.utterance].append(part.values)
            counters = self.device.counters()
        except Exception:
            self.reset()  # half a wave may have been sent
            raise
        outputs = tuple(np.concatenate(pieces[name]) for name in names)
        logits = tuple(self.host.run(part) for part in outputs)
        return AcceleratorRun(outputs, logits, counters, self.device.config)

    def windows(self, audio: str | Path | NDArray[np.floating[Any]]) -> Frames:
        """Feature windows uint8[T, C] of a recording, or of samples [N] at the model's rate.

        Raises AudioError for a recording that cannot be used.
        """
        return feature_windows(audio, self.program.model)

    def reset(self) -> None:
        """Back to cycle 0: all utterances, results and counters are dropped."""
        self.device.reset()
        self._hosts.clear()

    def begin(self, utterances: int = 1) -> tuple[int, ...]:
        """Begin utterances that are in flight together; their names for the other methods.

        Raises AcceleratorError as long as others are in flight, and AcceleratorFullError for more
        than the accelerator's ``contexts``.
        """
        names = self.device.begin(utterances)
        for name in names:
            self._hosts[name] = _HostUtterance(self.host, self._host_reads_backwards)
        return names

    def push(self, utterance: int, windows: Frames) -> None:
        """Give the next feature windows uint8[t, C] of an utterance.

        Blocks while the accelerator's input queue is full. Raises InputWindowsError,
        AcceleratorError for an utterance that is not in flight, and AcceleratorFullError, with
        nothing taken, for frames that the sequence memory could not hold.
        """
        self.device.push(utterance, windows)

    def finish(self, utterance: int) -> None:
        """End an utterance; raises AcceleratorError if it has no frames."""
        self.device.finish(utterance)

    def read(self) -> list[UtteranceLogits]:
        """Logits that were not read yet, waiting for those on their way.

        Those of a model that reads backwards come when all utterances in flight have finished.
        """
        found = []
        for part in self.device.read():
            host = self._hosts[part.utterance]
            logits = host.logits(part)
            if logits is not None:
                first = part.first + len(part.values) - len(logits)
                found.append(UtteranceLogits(part.utterance, first, logits, part.last))
            if part.last:
                del self._hosts[part.utterance]
        return found

    def counters(self) -> Counters:
        """Cycles, what each core did in them, and the stamps of each frame, since the reset.

        Raises AcceleratorError as long as an utterance is in flight.
        """
        return self.device.counters()

    def close(self) -> None:
        """Give the accelerator back."""
        self.device.close()

    def __enter__(self) -> Accelerator:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _load(self, program: Program) -> None:
        host = host_executor(program, self._host_backend, self._threads)
        self.device.load(program)
        self.program = program
        self.host = host
        self._host_reads_backwards = host_model(program).graph.bidirectional
        self._hosts.clear()

    def _send_wave(self, utterances: Sequence[Frames]) -> tuple[int, ...]:
        names = self.device.begin(len(utterances))
        for name, windows in zip(names, utterances, strict=True):
            self.device.push(name, windows)
        for name in names:
            self.device.finish(name)
        return names


class _HostUtterance:
    """The host's layers for one utterance, whose outputs come in pieces."""

    def __init__(self, host: Executor, backwards: bool) -> None:
        self._host = host
        self._backwards = backwards
        self._session: Session | None = None
        self._pieces: list[Frames] = []

    def logits(self, part: Outputs) -> Logits | None:
        """int64[t, V] of what came; None where the host has to wait for the last frame."""
        if self._backwards:
            self._pieces.append(part.values)
            return self._host.run(np.concatenate(self._pieces)) if part.last else None
        if self._session is None:
            self._session = self._host.stream()
        logits = self._session.push(part.values)
        if part.last:
            self._session.finish()
        return logits


def feature_windows(
    audio: str | Path | NDArray[np.floating[Any]], model: IntegerModel
) -> NDArray[np.uint8]:
    """Feature windows uint8[T, C] of a recording, or of samples [N], as ``model`` quantises them.

    Samples are at the model's rate, full scale +-1. Raises AudioError.
    """
    features = MfccConfig.from_json(model.features)
    samples = audio
    if isinstance(samples, str | Path):
        samples = read_audio(samples, features.sample_rate_hz).samples
    frames = quantize_frames(extract_mfcc(samples, features), model.input, model.activation_bits)
    windows = context_windows(frames, features.context, model.input.zero_point)
    return windows.astype(np.uint8, copy=False)


def host_executor(
    program: Program, backend: str | None = None, threads: Threads = "auto"
) -> Executor:
    """An executor of the layers that stay on the host: uint8[T, O] to logits int64[T, V]."""
    name = default_backend() if backend is None else backend
    if name in device_names():
        raise BackendError(
            f"the layers on the host cannot run on {name!r}; choose cpu or reference"
        )
    return load_backend(name)(host_model(program), threads=threads)


def host_model(program: Program) -> IntegerModel:
    """The model whose inputs are what the accelerator sends: layers 5 and 6 of DeepSpeech."""
    model = program.model

    def stays(layer: Any) -> bool:
        return layer.name not in program.accelerated

    return replace(
        model,
        graph=Graph(tuple(filter(stays, model.graph.layers))),
        layers=tuple(filter(stays, model.layers)),
    )


def _read_program(program: Program | str | Path, config: AcceleratorConfig | None) -> Program:
    """The program, or that of a file; ProgramFileError if it is not for ``config``."""
    if not isinstance(program, Program):
        return load_program(Path(program), config)
    if config is not None:
        check_same_config(program.config, config)
    return program
