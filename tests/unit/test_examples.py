"""The examples run as their first lines say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sparsespeech.model_file.reader import read_model
from sparsespeech.model_file.statistics import model_statistics


def output_of(example: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example), *arguments],
        capture_output=True,
        text=True,
        check=False,
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


@pytest.mark.slow
def test_compress_own_model(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own model"
    text = output_of(repository / "examples" / "compress_own_model.py", str(folder))
    assert "108,806 parameters" in text
    assert model_statistics(read_model(folder / "own.safetensors")).sparsity > 0.89
    dense, again, sparse, integer = (
        float(line.split()[1])
        for line in text.splitlines()
        if re.match(r"own(-sparse|\.safetensors)? +[0-9.]+ \[", line)
    )
    assert dense == again == 0.0
    assert max(sparse, integer) <= 10.0
    said = json.loads((folder / "test.jsonl").read_text().splitlines()[0])["text"]
    assert f"--model own.safetensors\n{said}\n" in text


def test_tutorial_shows_the_commands_of_its_example(repository: Path) -> None:
    tutorial = (repository / "docs" / "tutorial-7-compress-your-own.md").read_text()
    example = (repository / "examples" / "compress_own_model.py").read_text()
    commands = re.search(r'COMMANDS = """\n(.*?)"""', example, re.DOTALL)
    recipe = re.search(r'RECIPE = r"""\n(.*?)"""', example, re.DOTALL)
    assert commands is not None and recipe is not None
    assert [line for line in commands[1].splitlines() if f"\n{line}\n" not in tutorial] == []
    assert recipe[1] in tutorial
