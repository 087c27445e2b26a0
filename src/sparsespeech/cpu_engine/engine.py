"""The executor that runs integer models on this machine's processor.

Axes: T frames, W inputs of one window (494), V labels with the blank. The logits are those of
``integer_arithmetic/spec.md`` to the bit, on every instruction set, for any number of threads, in
batches as one by one, and in a stream for any chunking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.cpu_engine.batcher import LARGEST_BATCH, SessionBatcher
from sparsespeech.cpu_engine.layers import count_nonzeros, describe_layers, input_width
from sparsespeech.cpu_engine.native import choose_instruction_set, native_module
from sparsespeech.cpu_engine.packed_cache import Orders, find_tuning
from sparsespeech.cpu_engine.session import CpuSession
from sparsespeech.cpu_engine.threads import Threads, resolve_threads
from sparsespeech.errors import (
    BackendError,
    EngineMemoryError,
    InputWindowsError,
    PackedCacheError,
    UnsupportedLayerError,
)
from sparsespeech.model_file.model import IntegerModel, LstmLayer

Windows = NDArray[np.uint8]
Logits = NDArray[np.int64]


class CpuExecutor:
    """One model, packed for the processor.

    Calls from several Python threads are safe and run one after the other, each on all threads of
    the engine; many streams are faster stepped together (:meth:`step_sessions`). The interpreter
    lock is released while the engine computes.
    """

    def __init__(
        self,
        model: IntegerModel,
        *,
        threads: Threads = "auto",
        instruction_set: str | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        """Pack ``model``, whose proofs (R3, R4, R5) the reader has made.

        ``threads``: see :func:`.resolve_threads`; ``instruction_set``: see
        :func:`.choose_instruction_set`; ``options``: choices of the packing, for measurements and
        `sparsespeech tune`; None takes those of the tuning that was made for this model here, if
        there is one. Raises BackendError, InstructionSetError, UnsupportedLayerError,
        EngineMemoryError, and PackedCacheError for a tuning that is damaged.
        """
        layers = describe_layers(model)
        chosen = choose_instruction_set(instruction_set)
        self._inputs = input_width(layers)
        self._backward_layer = _backward_layer(model)
        nonzeros = count_nonzeros(layers)
        number = resolve_threads(threads, nonzeros=nonzeros)
        self._tuning_file: Path | None = None
        if options is None and (found := find_tuning(layers, chosen, number)):
            tuning, self._tuning_file = found
            options = tuning.options()
        try:
            self._engine: Any = native_module().engine.Engine(
                layers,
                np.ascontiguousarray(model.tables["sigmoid_base"]),
                np.ascontiguousarray(model.tables["sigmoid_slope"]),
                chosen,
                number,
                dict(options or {}),
            )
        except MemoryError:
            raise EngineMemoryError(
                f"not enough memory to pack the {nonzeros:,} nonzero weights of the model, which "
                f"takes up to {4 * nonzeros / 1e6 + 20:.0f} MB; end other programs, or take a "
                "smaller model"
            ) from None
        except RuntimeError as error:  # std::system_error: each thread needs memory for its stack
            raise EngineMemoryError(
                f"the system starts no {number} threads ({error}): memory or the number of threads "
                "of this user is at its limit; ask for fewer with --threads"
            ) from None
        except ValueError as error:
            if self._tuning_file is not None:
                raise PackedCacheError(
                    f"{self._tuning_file}: {error}; remove it with `sparsespeech tune --clear`"
                ) from None
            raise UnsupportedLayerError(  # a size that the packed forms cannot hold
                f"the CPU engine cannot hold the model: {error}; use --backend reference"
            ) from None

    @property
    def instruction_set(self) -> str:
        """Name of the kernels in use."""
        return str(self._engine.instruction_set)

    @property
    def threads(self) -> int:
        """Threads that compute, the caller's among them."""
        return int(self._engine.threads)

    @property
    def inputs(self) -> int:
        """W."""
        return self._inputs

    @property
    def tuning_file(self) -> Path | None:
        """The file of the tuning in use."""
        return self._tuning_file

    @property
    def unit_orders(self) -> Orders:
        """By LSTM direction, the unit that stands at each place; only where they are moved."""
        return dict(self._engine.unit_orders)

    @property
    def row_orders(self) -> Orders:
        """By matrix, the row of each slot, 2^32 - 1 for none; only where they were searched."""
        return dict(self._engine.row_orders)

    @property
    def packed_bytes(self) -> int:
        """Memory of the packed model."""
        return int(self._engine.packed_bytes)

    @property
    def matrices(self) -> list[dict[str, Any]]:
        """How each matrix is packed: name, form, nonzeros, slots, bytes."""
        return list(self._engine.matrix_report)

    def run(self, windows: Windows) -> Logits:
        """Logits int64[T, V] (R9) of one utterance, windows uint8[T, W]; T may be 0.

        Raises InputWindowsError for another type or width, EngineMemoryError, and BackendError in
        a process that was forked after the executor was made.
        """
        return self.run_timed(windows)[0]

    def run_timed(self, windows: Windows) -> tuple[Logits, list[tuple[str, float]]]:
        """:meth:`run`, and the seconds that each layer took, in order."""
        (logits,), seconds = self._run([windows], [None])
        return logits, list(zip(self._engine.layer_names, seconds, strict=True))

    def run_batch(self, windows: Sequence[Windows]) -> list[Logits]:
        """Logits of several utterances of any lengths, computed together.

        The same integers as :meth:`run` of each; raises the same errors.
        """
        return self._run(windows, [None] * len(windows))[0]

    def stream(self) -> CpuSession:
        """A new utterance that comes in chunks.

        Raises UnsupportedLayerError for a model that reads backwards.
        """
        if self._backward_layer is not None:
            raise UnsupportedLayerError(
                f"a stream needs a unidirectional model; layer {self._backward_layer!r} of this "
                "one needs later frames; transcribe the recording when it is complete, or train a "
                "model with `bidirectional: false`"
            )
        return CpuSession(self, self._engine.new_state())

    def step_sessions(
        self, sessions: Sequence[CpuSession], windows: Sequence[Windows]
    ) -> list[Logits]:
        """The next windows uint8[t, W] of each session, computed together; t may differ and be 0.

        Returns int64[t, V] a session, the integers of :meth:`CpuSession.push` one by one. Raises
        SessionFinishedError, InputWindowsError, EngineMemoryError, and ValueError for a session of
        another executor or one that occurs twice; a step that is refused changes no session.
        """
        if len(sessions) != len(windows):
            raise ValueError(f"got {len(sessions)} sessions and {len(windows)} chunks of windows")
        if len(set(map(id, sessions))) != len(sessions):
            raise ValueError("a session occurs twice in one step; join its chunks")
        states = [session.state_for(self) for session in sessions]
        logits, _ = self._run(windows, states)
        for session, chunk in zip(sessions, windows, strict=True):
            session.count_frames(len(chunk))
        return logits

    def batcher(self, *, largest_batch: int = LARGEST_BATCH) -> SessionBatcher:
        """A thread that steps the sessions of many streams together; close it after use."""
        return SessionBatcher(self, largest_batch=largest_batch)

    def check_windows(self, windows: Windows) -> None:
        """Raise InputWindowsError unless ``windows`` are uint8[t, W]."""
        if windows.dtype != np.uint8 or windows.ndim != 2 or windows.shape[1] != self._inputs:
            raise InputWindowsError(
                f"feature windows are {windows.dtype.name}{list(windows.shape)}, expected "
                f"uint8[frames, {self._inputs}]; make them with features.context_window"
            )

    def _run(
        self, windows: Sequence[Windows], states: Sequence[Any]
    ) -> tuple[list[Logits], list[float]]:
        for chunk in windows:
            self.check_windows(chunk)
        contiguous = [np.ascontiguousarray(chunk) for chunk in windows]
        try:
            logits, seconds = self._engine.run(contiguous, list(states))
        except MemoryError:
            raise EngineMemoryError(
                f"not enough memory to compute {sum(map(len, windows))} frames at once; give "
                "shorter recordings, or fewer at a time"
            ) from None
        except RuntimeError as error:
            raise BackendError(f"the CPU engine cannot run: {error}") from None
        return list(logits), list(seconds)


def _backward_layer(model: IntegerModel) -> str | None:
    """Name of the first layer with a backward direction."""
    for layer in model.layers:
        if isinstance(layer, LstmLayer) and layer.backward is not None:
            return layer.name
    return None
