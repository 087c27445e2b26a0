"""The examples run as their first lines say."""

import subprocess
import sys
from pathlib import Path

import pytest


def output_of(example: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_transcribe_a_file(repository: Path) -> None:
    lines = output_of(repository / "examples" / "01_transcribe_a_file.py").splitlines()
    assert lines[0]
    assert lines[-1].endswith("end to end")


@pytest.mark.slow
def test_train_prune_quantize(repository: Path) -> None:
    text = output_of(repository / "examples" / "02_train_prune_quantize.py")
    assert "recognised badcab" in text
