"""What decides the last bits of a run besides recipe and data: processor, kernels, versions.

A resumed run ends with the bits of one that was not killed only where these are the same. Others
are no fault, but the reader of the weights should know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sparsespeech import machine
from sparsespeech.acoustic_model.sparse_product import kernel_set
from sparsespeech.training.incident import Incident


def run_environment(device: torch.device) -> dict[str, Any]:
    """Device, processor, set of training kernels ("torch" without any), threads, torch's version.

    Raises InstructionSetError for a SPARSESPEECH_CPU_ISA that this processor lacks.
    """
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": machine.processor_name(),
        "kernels": kernel_set() or "torch",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def moved(was: object, now: Mapping[str, Any]) -> Incident | None:
    """What to report when a run that began as ``was`` goes on as ``now``; None if nothing differs.

    Keys that ``was`` lacks are not compared: checkpoints may be older than the record.
    """
    if not isinstance(was, dict):
        return None
    different = {key: [was[key], now[key]] for key in now if key in was and was[key] != now[key]}
    if not different:
        return None
    changes = "; ".join(f"{key} was {old}, is {new}" for key, (old, new) in different.items())
    return Incident(
        {"moved": different},
        f"goes on in another environment, so the weights will end with other bits: {changes}",
    )
