"""What every accelerator offers its host, whether simulated or built.

Axes: T frames of an utterance, t frames of a piece of it, C inputs of one window (494), O outputs
of the last layer on the accelerator.

The contract, in words of the timing rules (``simulator/timing.md``):

- **Configuration.** A device has one, for good, and refuses a program that was compiled for any
  other (rule P10 of ``compiler/program_file.md``). Hardware reads it from its identity registers.
- **Waves.** Utterances that begin together are in flight together: a wave (T12). The next wave
  may begin as soon as all utterances of this one have finished; nobody need read first.
- **Order.** Frames go over the wire one of each utterance in turn, and each says whether it is
  the last of its utterance, and of its wave. So a frame waits in the host until it has a
  successor, or its utterance has finished, and until the utterances beside it have given theirs.
  It waits in the memory of the host, which has no limit for that; the input ring only takes
  frames whose turn has come. How pushes are cut changes no order, and so no cycle.
- **Full.** Where a layer reads backwards, the sequence memory keeps a wave to its end. Frames
  that it could not hold are refused before any of them is sent (AcceleratorFullError), as are
  utterances beyond ``contexts``: the hardware could only hang. A network that reads forwards may
  hear utterances of any length. A full input ring is no error: ``push`` then blocks until there is
  room, and meanwhile takes results out of the output ring, for which the accelerator may wait.
- **Results.** All that is sure to come from what was sent: frame by frame where nothing on the
  accelerator reads backwards, else once all utterances of the wave have finished.
- **Time.** Cycles are those of a host that has every frame ready (T11): simulated time stands
  still while the host has nothing to send. A clock that runs on, as that of hardware, gives the
  same figures where the host keeps up, and larger ones where it does not.

Without a program, all but ``load`` and ``close`` raise AcceleratorError. One thread at a time uses
a device. After an error other than a refused argument, ``reset`` it.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_counters import Counters
from sparsespeech.compiler.program import Program
from sparsespeech.errors import BackendError

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the accelerator made of frames ``first`` to ``first + t - 1`` of an utterance."""

    utterance: int
    first: int
    values: Frames  # uint8[t, O]
    last: bool  # nothing of the utterance follows


class Device(Protocol):
    """One accelerator; see the module for what all of them have in common."""

    @property
    def config(self) -> AcceleratorConfig:
        """Its parameters."""
        ...

    def load(self, program: Program) -> None:
        """Fill its memories with ``program`` and reset it.

        Raises ProgramFileError, and keeps the program before, if this one is for another
        configuration or has images that no core can execute.
        """
        ...

    def reset(self) -> None:
        """Back to cycle 0; the program stays, all utterances and results are dropped."""
        ...

    def begin(self, utterances: int = 1) -> tuple[int, ...]:
        """Begin a wave; the names of its utterances, which no other one ever has.

        Raises AcceleratorError if no program is loaded or the wave before is not finished, and
        AcceleratorFullError for more utterances than ``config.contexts``.
        """
        ...

    def push(self, utterance: int, frames: Frames) -> None:
        """Give the next frames uint8[t, C] of an utterance; t may be 0.

        Raises InputWindowsError for frames of another kind, AcceleratorError for an utterance
        that is not in flight, and AcceleratorFullError for frames beyond the sequence memory;
        then none of them is taken.
        """
        ...

    def finish(self, utterance: int) -> None:
        """End an utterance. Raises AcceleratorError if it is not in flight or has no frames."""
        ...

    def read(self) -> list[Outputs]:
        """All results that are not read yet, waiting for those on their way.

        At most one entry an utterance, in the order in which they began; empty if there is none.
        """
        ...

    def counters(self) -> Counters:
        """The registers after the last wave, waiting for its end; zeros if there was none.

        Raises AcceleratorError as long as an utterance is in flight.
        """
        ...

    def close(self) -> None:
        """Give the accelerator back; after that, every other method raises AcceleratorError."""
        ...


class _MakesDevices(Protocol):
    def __call__(self, config: AcceleratorConfig) -> Device: ...


# Module and class of each device, which is made with the configuration that it is to have.
_DEVICES = {
    "simulator": ("sparsespeech.simulator.device", "SimulatedDevice"),
}


def device_names() -> tuple[str, ...]:
    """Names that :func:`load_device` takes."""
    return tuple(_DEVICES)


def load_device(name: str, config: AcceleratorConfig) -> Device:
    """The device called ``name`` with these parameters; its module is imported by this call.

    Raises BackendError if there is no such device.
    """
    if name not in _DEVICES:
        raise BackendError(
            f"accelerator {name!r} does not exist in this version; available: {', '.join(_DEVICES)}"
        )
    module, kind = _DEVICES[name]
    return cast(_MakesDevices, getattr(importlib.import_module(module), kind))(config)
