"""The whole page: complete, self-contained and safe for any name."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.errors import CheckpointError, ModelFileError, ReportError
from sparsespeech.graph import Graph, deepspeech, network_difference
from sparsespeech.model_file.statistics import model_statistics
from sparsespeech.model_file.writer import write_model
from sparsespeech.report.model_report import ReportSources, build_report
from sparsespeech.report.subject import read_subject
from sparsespeech.training.packed_checkpoint import pack_checkpoint
from tests.random_models import random_integer_model
from tests.unit.report.conftest import save_random_run
from tests.unit.report.test_html import HOSTILE, read

LAYERS = ("layer1", "layer2", "layer3", "layer4", "layer5")


def write_random_model(path: Path) -> Path:
    model = random_integer_model(np.random.default_rng(0), hidden=6, bidirectional=False)
    facts = {"recipe": HOSTILE, "wer": 12.5}
    scales = {
        matrix.name: 0.01 for layer in model_statistics(model).layers for matrix in layer.matrices
    }
    model = dataclasses.replace(model, training=facts, quantization={"weight_scales": scales})
    write_model(model, path)
    return path


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "a <b> model.safetensors")


@pytest.fixture(scope="module")
def model_page(model_path: Path) -> str:
    return build_report(str(model_path))


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_page_of_a_lone_model_has_its_sections(model_page: str) -> None:
    assert headings(model_page) == [
        "Sparsity by layer and gate",
        "Bytes",
        "Weight distributions",
        "Heat maps of nonzeros",
        "Load of row banks",
        "Scales and ranges",
        "Facts in the file",
    ]


def test_facts_stand_at_the_top(model_page: str, model_path: Path) -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=6, bidirectional=False)
    statistics = model_statistics(model)
    opening = model_page[: model_page.index("<section")]
    assert f"{statistics.parameters:,} in the dense network" in opening
    assert f"{statistics.nonzeros:,} of " in opening
    assert f"{statistics.sparsity:.2%}" in opening
    assert f"{model_path.stat().st_size / 1e3:.3g} kB" in opening
    assert "8 bit" in opening


def test_page_needs_nothing_from_elsewhere(model_page: str) -> None:
    reader = read(model_page)
    names = {name for name, _ in reader.elements}
    assert not names & {"script", "link", "iframe", "object", "embed", "video", "base", "form"}
    images = [a["src"] or "" for name, a in reader.elements if name == "img"]
    assert len(images) > 3 * len(LAYERS)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in images)
    links = [a["href"] or "" for _, a in reader.elements if "href" in a]
    anchors = {f"#{a['id']}" for _, a in reader.elements if "id" in a}
    assert links
    assert set(links) == anchors
    assert not any(key.startswith("on") for _, a in reader.elements for key in a)
    assert "url(" not in model_page
    assert all(a.get("alt") for name, a in reader.elements if name == "img")


def test_hostile_facts_and_names_are_text(model_page: str) -> None:
    assert HOSTILE not in model_page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in model_page
    assert "<h1>a &lt;b&gt; model</h1>" in model_page


def test_every_matrix_is_drawn_three_times(model_page: str) -> None:
    for name in ("layer1.weights", "layer3.forward.recurrent_weights", "layer5.weights"):
        assert model_page.count(f"<h3>{name}</h3>") == 3


def words_of_course(page: str) -> set[str]:
    """Texts in the picture of the run; its letters are outlines, each text a comment before."""
    pictures = [a for name, a in read(page).elements if name == "img"]
    course = [a["src"] or "" for a in pictures if (a["alt"] or "").startswith("Losses, word error")]
    assert len(course) == 1
    drawing = base64.b64decode(course[0].partition("base64,")[2]).decode()
    return set(re.findall(r"<!-- (.*?) -->", drawing))


def test_checkpoint_with_everything_around_it(tmp_path: Path, run: Path) -> None:
    rows: list[dict[str, object]] = [
        {"step": step, "loss": 3.0 / step, "sparsity": 0.9 * (step > 4), "development_wer": 50.0}
        for step in range(1, 9)
    ]
    rows += [
        {"step": 4, "development_loss": 1.25},
        {"step": 5, "mask_update": {"sparsity": 0.9, "changed": 54_321}},
        {"step": 8, "development_loss": 0.75},
    ]
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sweep = tmp_path / "sweep.json"
    sweep.write_text(json.dumps({"models": [{"model": str(run), "wer": 5.0, "decoder": "greedy"}]}))
    dense = save_random_run(tmp_path / "dense", seed=1)
    seen: list[tuple[str, int]] = []
    page = build_report(
        str(run),
        ReportSources(dense=dense, pruned=dense / "checkpoints" / "step-00000007", sweep=sweep),
        lambda name, total: seen.append((name, total)),
    )
    assert headings(page) == [
        "Sparsity by layer and gate",
        "Weight distributions",
        "Heat maps of nonzeros",
        "Load of row banks",
        "Scales and ranges",
        "Training",
        "Sparsity against word error rate",
        "Facts in the file",
    ]
    assert page.count("before pruning, after pruning, after retraining") == len(seen) == 7
    assert {total for _, total in seen} == {7}
    assert "1 measured network." in page
    assert "did not log a validation loss" not in page
    assert {"training", "validation", "sparsity (%)", "changed", "10,000"} <= words_of_course(page)
    assert "<script>" not in page
    assert "<h1>&lt;script&gt;tiny&lt;/script&gt;</h1>" in page
    read(page)


def test_the_run_of_a_checkpoint_is_the_one_that_holds_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "log.jsonl").touch()
    pack_checkpoint(run, run / "packed" / "exported")
    assert read_subject(str(run)).run == run
    assert read_subject(str(run / "packed" / "exported")).run is None
    monkeypatch.chdir(run / "checkpoints")
    assert read_subject("step-00000007").run == run


def test_checkpoint_of_another_network_is_refused(run: Path, tmp_path: Path) -> None:
    other = save_random_run(tmp_path / "other", seed=0, hidden=8)
    with pytest.raises(ReportError, match="holds another network") as refusal:
        build_report(str(run), ReportSources(dense=other))
    assert re.search(r": outputs of layer1 is 8, not \d+; give a checkpoint", str(refusal.value))


def test_the_first_difference_of_two_networks() -> None:
    graph = deepspeech(8)
    assert network_difference(graph, deepspeech(8)) == ""
    one_way = deepspeech(8, bidirectional=False)
    assert network_difference(one_way, graph) == "bidirectional of layer4 is False, not True"
    assert network_difference(graph, Graph(graph.layers[:-1])) == "it has 6 layers, not 5"
    swapped = Graph((graph.layers[-1], *graph.layers[1:]))
    assert network_difference(swapped, graph) == "kind of layer6 is output, not linear"


def test_bad_sources_are_refused_before_any_picture(run: Path, tmp_path: Path) -> None:
    def never(name: str, total: int) -> None:
        raise AssertionError("a matrix was drawn")

    for sources, error in (
        (ReportSources(run=tmp_path), CheckpointError),
        (ReportSources(pruned=tmp_path), CheckpointError),
        (ReportSources(sweep=tmp_path), ReportError),
    ):
        with pytest.raises(error, match=re.escape(str(tmp_path))):
            build_report(str(run), sources, never)


def test_unknown_model_is_refused() -> None:
    with pytest.raises(ModelFileError, match="bundled model"):
        build_report("no-such-model")
