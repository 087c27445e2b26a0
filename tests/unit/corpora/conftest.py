"""Recordings and synthesizers that the tests of corpora share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

WriteTone = Callable[..., Path]


@pytest.fixture
def write_tone() -> WriteTone:
    """Write a sine as a recording; the format follows the name."""

    def write(path: Path, duration_s: float = 0.5, rate_hz: int = 16000) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        times = np.arange(round(duration_s * rate_hz)) / rate_hz
        format_name = "OGG" if path.suffix in (".ogg", ".opus") else None
        subtype = "OPUS" if path.suffix == ".opus" else None
        soundfile.write(
            path, 0.3 * np.sin(2 * np.pi * 440 * times), rate_hz, subtype, format=format_name
        )
        return path

    return write


@pytest.fixture
def flite() -> None:
    """Skip a test where flite is not installed."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed (apt-get install flite)")


@pytest.fixture
def espeak() -> None:
    """Skip a test where espeak-ng is not installed."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed (apt-get install espeak-ng)")


@pytest.fixture
def festival() -> None:
    """Skip a test where festival or its voices are not installed."""
    voices = ("english/kal_diphone", "english/ked_diphone", "us/cmu_us_slt_arctic_hts")
    if shutil.which("festival") is None or not all(
        Path("/usr/share/festival/voices", voice).is_dir() for voice in voices
    ):
        pytest.skip(
            "festival or a voice of it is not installed (apt-get install festival "
            "festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts)"
        )
