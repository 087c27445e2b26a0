"""The pages about the accelerator: parameters, pictures, commands and figures are the real ones."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from math import comb
from pathlib import Path
from typing import Any

import pytest
import typer

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.cli.main import app, main

MAU = TARGETS["mau-stratix10"]
PAGES = ("accelerator.md", "tutorial-9-map-your-own-model.md", "paper-arithmetic.md")


def read(repository: Path, page: str) -> str:
    return (repository / "docs" / page).read_text(encoding="utf-8")


def test_the_table_of_parameters_is_the_target(repository: Path) -> None:
    page = read(repository, "accelerator.md")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \| (?:S2|ours)", page, re.MULTILINE))
    values = {name: float(text) for name, text in rows.items()}
    assert values == {name: float(getattr(MAU, name)) for name in rows}
    own = {"name", "device", "stages", "double_buffered"}  # told in words
    own |= {name for name in MAU.to_json() if name.startswith(("reference_", "static_"))}
    assert set(rows) == set(MAU.to_json()) - own


def test_the_table_of_stages_is_the_target(repository: Path) -> None:
    page = read(repository, "accelerator.md")
    table = page[page.index("| stage | cycles |") :]
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| ", table, re.MULTILINE)
    stages = MAU.to_json()["stages"]
    assert {name: int(cycles) for name, cycles in rows} == stages
    assert f"each of the {MAU.tree_levels} levels" in table


def test_the_page_tells_what_fetching_ahead_costs(repository: Path) -> None:
    page = " ".join(read(repository, "accelerator.md").split())
    words, streams = MAU.stages.fetch_ahead_words, MAU.row_lanes * MAU.windows
    assert f"a buffer of {words} words behind each of the {streams} memories" in page
    assert f"costs a core {MAU.fetch_ahead_bits:,} bits of registers" in page
    assert MAU.fetch_ahead_bits == streams * words * (MAU.word_bits + 1)


def test_every_picture_is_there_and_shown(repository: Path) -> None:
    page = read(repository, "accelerator.md")
    shown = set(re.findall(r"\(pictures/([\w-]+\.png)\)", page))
    folder = repository / "docs" / "pictures"
    assert shown == {path.name for path in folder.glob("accelerator-*.png")}
    for name in shown:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(repository: Path, page: str) -> None:
    text = read(repository, page)
    links = re.findall(r"\]\((?!http)([^)#]+)(?:#[\w-]+)?\)", text.replace("\n", " "))
    assert links
    for link in links:
        assert (repository / "docs" / link).exists(), link


def commands(repository: Path) -> list[list[str]]:
    """The lines that begin with the name of the program, in blocks and in running text."""
    found: list[list[str]] = []
    for page in PAGES:
        text = read(repository, page)
        blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        spans = re.findall(r"`(sparsespeech [^`]+)`", text.replace("\n", " "))
        found += [
            shlex.split(line) for line in (*lines, *spans) if line.startswith("sparsespeech ")
        ]
    return found


def test_every_command_takes_the_options_that_are_shown(repository: Path) -> None:
    group: Any = typer.main.get_command(app)
    lines = commands(repository)
    assert {line[1] for line in lines} >= {
        "import", "prune", "quantize", "compile", "simulate", "explore", "transcribe", "bench"
    }  # fmt: skip
    for line in lines:
        context = group.make_context("sparsespeech", line[1:], resilient_parsing=True)
        _, command, rest = group.resolve_command(context, line[1:])
        if hasattr(command, "commands"):
            command = command.commands[rest[0]]
        known = {name for parameter in command.params for name in parameter.opts}
        options = {word for word in rest if word.startswith("--")}
        assert options <= known, " ".join(line)


def test_the_tutorial_shows_the_table_of_compile(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = read(repository, "tutorial-9-map-your-own-model.md")
    assert main(["compile", "english-small", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    rows = re.findall(r"^ (layer\d) .*? (\d+) +(\d+) +([\d.]+)% +([\d,]+) +([\d,]+) +(\d+) +(\d+)$",
                      page, re.MULTILINE)  # fmt: skip
    shown = [tuple(float(cell.replace(",", "")) for cell in row[1:]) for row in rows]
    assert shown == [
        (
            layer["cores"],
            layer["row_groups"],
            round(100 * layer["efficiency"], 1),
            layer["weights"],
            layer["nonzeros"],
            layer["steps"],
            layer["cycles_per_frame"],
        )
        for layer in metrics["layers"]
    ]
    assert f"packing: {metrics['packing_ratio']:.3f} cycles a row group" in page


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_the_tutorial_shows_the_cycles_of_simulate(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mapping: str
) -> None:
    page = read(repository, "tutorial-9-map-your-own-model.md")
    (shown,) = re.findall(rf"^\| {mapping} \| ([\d,]+) \| ([\d.]+) ms \|$", page, re.MULTILINE)
    program = str(tmp_path / "x.program")
    recording = repository / "src" / "sparsespeech" / "demo_audio" / "1-flite-slt.flac"
    assert main(["compile", "english-small", "--mapping", mapping, "--output", program]) == 0
    capsys.readouterr()
    assert main(["simulate", program, str(recording), "--json"]) == 0
    (utterance,) = json.loads(capsys.readouterr().out)["utterances"]
    # The search for circuits may find others: the page is right to half a per cent.
    assert int(shown[0].replace(",", "")) == pytest.approx(utterance["latency_cycles"], rel=0.005)
    assert float(shown[1]) == pytest.approx(utterance["latency_ms"], rel=0.005)


def test_what_a_crossbar_of_banks_would_cost(repository: Path) -> None:
    """The mean of the fullest of 4 x 64 banks, each of 16 columns with 4 % of weights."""
    (shown,) = re.findall(r"would be read ([\d.]+) times", read(repository, "accelerator.md"))
    shares = [comb(16, count) * 0.04**count * 0.96 ** (16 - count) for count in range(17)]
    below = [sum(shares[:count]) ** 256 for count in range(18)]  # all banks hold fewer
    mean = sum(count * (b - a) for count, (a, b) in enumerate(pairwise(below)))
    assert float(shown) == round(mean, 1)


@pytest.mark.slow
def test_the_page_shows_the_cycles_of_a_second_of_speech(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    code = (
        "import sys; sys.path.insert(0, 'examples'); import draw_accelerator as d; "
        "model = d.random_model(2048); "
        "print([d.run_on_accelerator(model, mapping, 50).cycles for mapping in d.MAPPINGS])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page = read(repository, "accelerator.md")
    rows = re.findall(r"^\| (paper|interleaved) \| ([\d,]+) \| ([\d.]+) \|", page, re.MULTILINE)
    assert [name for name, _, _ in rows] == ["paper", "interleaved"]
    for (_, cycles, milliseconds), counted in zip(rows, json.loads(done.stdout), strict=True):
        assert int(cycles.replace(",", "")) == pytest.approx(counted, rel=0.005)
        assert float(milliseconds) == pytest.approx(1e3 * MAU.seconds(counted), abs=0.0015)


@pytest.mark.slow
def test_the_command_that_draws_the_pictures(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    example = str(repository / "examples" / "draw_accelerator.py")
    arguments = [str(tmp_path), "--hidden", "64", "--frames", "3"]
    done = subprocess.run(
        [sys.executable, "-W", "error", example, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = read(repository, "accelerator.md")
    for line in done.stdout.splitlines():
        assert Path(line).name in page
    assert len(list(tmp_path.iterdir())) == len(done.stdout.splitlines()) == 7
