"""``bench accuracy`` with tiny checkpoints: quantized, recognised, kept and never decoded twice."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsespeech.cli import accuracy_runs
from sparsespeech.cli.main import main
from sparsespeech.corpora.manifest import read_manifest, write_manifest
from sparsespeech.evaluation.word_error_rate import count_errors, word_error_rate
from sparsespeech.model_file.reader import read_model
from tests.random_checkpoints import random_checkpoint, write_checkpoint
from tests.tone_corpus import write_corpus


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), 4, letters="ab")


@pytest.fixture
def runs(tmp_path: Path, manifest: Path) -> Path:
    """Folder with the runs d0, s0, d1, s1; their recipes train on ``manifest``."""
    torch.set_num_threads(1)
    for number, (name, sparsity) in enumerate({"d0": 0, "s0": 0.8, "d1": 0, "s1": 0.8}.items()):
        save(tmp_path / name, number, sparsity, manifest)
    return tmp_path


def save(
    run: Path,
    seed: int,
    sparsity: float,
    manifest: Path,
    quantization: dict[str, Any] | None = None,
) -> None:
    checkpoint = random_checkpoint(
        seed, hidden=6, context=2, coefficients=26, labels=3, sparsity=sparsity
    )
    recipe = {
        "data": {"train": [{"manifest": str(manifest), "split": "train"}]},
        "quantization": {"calibration_utterances": 2, **(quantization or {})},
    }
    write_checkpoint(run, checkpoint, recipe)


def note_decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by the model of each decoding."""
    decoded: list[str] = []
    recognise_all = accuracy_runs.recognise_all

    def noted(model: str, *arguments: Any) -> Any:
        decoded.append(model)
        return recognise_all(model, *arguments)

    monkeypatch.setattr(accuracy_runs, "recognise_all", noted)
    return decoded


def bench(runs: Path, *arguments: object) -> int:
    return main(
        ["bench", "accuracy", *map(str, arguments), "--work", str(runs / "work"), "--backend",
         "reference"]
    )  # fmt: skip


def pairs(runs: Path, manifest: Path) -> list[object]:
    return ["--manifest", manifest, "--corpus", "tones", "--pair", f"{runs / 'd0'},{runs / 's0'}",
            "--pair", f"{runs / 'd1'},{runs / 's1'}"]  # fmt: skip


def test_rows_agree_with_evaluate_and_quantize(
    runs: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, plot, page = (runs / f"accuracy.{suffix}" for suffix in ("json", "png", "md"))
    options = ("--json", "--output", output, "--plot", plot, "--markdown", page)
    assert bench(runs, *pairs(runs, manifest), *options) == 0
    answer = json.loads(capsys.readouterr().out)
    assert json.loads(output.read_text()) == answer
    assert plot.stat().st_size > 10_000
    assert "**tones**, greedy, median of 2 seeds" in page.read_text()
    rows = [row for row in answer["rows"] if row["table"] == "tones"]
    assert [(row["seed"], row["weights"], row["arithmetic"]) for row in rows[:4]] == [
        (0, "dense", "float"), (0, "dense", "int8"), (0, "sparse", "float"), (0, "sparse", "int8"),
    ]  # fmt: skip
    model = runs / "s0.safetensors"
    quantize = ["quantize", runs / "s0", "--manifest", manifest, "--split", "train", "--output"]
    assert main([*map(str, quantize), str(model), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert rows[3]["bytes_stored"] == model.stat().st_size
    assert rows[3]["nonzeros"] == facts["nonzeros"]
    models = [str(runs / "s0"), str(model), str(manifest)]
    assert main(["evaluate", *models, "--backend", "reference", "--json"]) == 0
    for row, expected in zip(rows[2:4], json.loads(capsys.readouterr().out)["models"], strict=True):
        for key in ("wer", "wer_low", "wer_high", "cer"):
            assert row[key] == pytest.approx(expected[key], rel=1e-5)
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    described = {"manifest": "manifest.jsonl", "sha256": digest}
    assert answer["config"]["corpora"]["tones"] == described


def test_every_manifest_of_a_plan_stands_in_the_result(
    runs: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = [{"label": "x", "checkpoint": str(runs / "s0"), "note": ""}]
    plan = {"tried": {"manifest": str(manifest), "runs": tried}, "calibration": str(manifest)}
    (runs / "plan.yaml").write_text(json.dumps(plan))
    assert bench(runs, runs / "plan.yaml", "--json") == 0
    config = json.loads(capsys.readouterr().out)["config"]
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert config["tried"] == {"manifest": "manifest.jsonl", "sha256": digest}
    assert "equal_nonzeros" not in config


def test_the_curve_counts_the_bytes_that_compress_writes(
    runs: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = {"manifest": str(manifest), "dense_small": [{"checkpoint": str(runs / "d0")}],
             "sparse_large": [{"checkpoint": str(runs / "s0")}]}  # fmt: skip
    (runs / "plan.yaml").write_text(json.dumps({"equal_nonzeros": curve}))
    assert bench(runs, runs / "plan.yaml", "--json") == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    model, coded = runs / "d0.safetensors", runs / "coded.safetensors"
    quantize = ["quantize", runs / "d0", "--manifest", manifest, "--split", "train", "--output"]
    assert main([*map(str, quantize), str(model)]) == 0
    assert main(["compress", str(model), "--output", str(coded)]) == 0
    assert row["bytes_stored"] == model.stat().st_size
    assert row["bytes_coded"] == coded.stat().st_size


def test_the_same_again_decodes_and_quantizes_nothing(
    runs: Path,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert bench(runs, *pairs(runs, manifest), "--json") == 0
    first = json.loads(capsys.readouterr().out)
    decoded = note_decoded(monkeypatch)
    assert bench(runs, *pairs(runs, manifest), "--json") == 0
    second = json.loads(capsys.readouterr().out)
    assert decoded == []
    hypotheses = runs / "work" / "hypotheses"
    assert len(list(hypotheses.iterdir())) == 8  # four checkpoints, float and int8
    assert second["figures"] == first["figures"]
    assert all(row["kept"] for row in second["rows"] if row["table"] == "tones")
    shutil.rmtree(runs / "s0")
    save(runs / "s0", 9, 0.8, manifest)
    assert bench(runs, *pairs(runs, manifest)) == 0
    assert len(decoded) == 2  # another checkpoint by the same name: float and int8
    assert bench(runs, *pairs(runs, manifest), "--limit", "2") == 0
    assert len(decoded) == 2 + 8


def test_other_recordings_under_the_same_names_are_other_speech(
    runs: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = write_corpus(runs / "tested", 4, letters="ab")
    plan = {
        "corpora": {"t": {"manifest": str(tested), "single": {"x": str(runs / "s0")}}},
        "calibration": str(write_corpus(runs / "calibration", 4, letters="ab")),
    }
    (runs / "plan.yaml").write_text(json.dumps(plan))
    assert bench(runs, runs / "plan.yaml") == 0
    decoded = note_decoded(monkeypatch)
    text = tested.read_bytes()
    write_corpus(runs / "loud", 4, seed=9, letters="ab")
    shutil.copy(runs / "loud" / "0002.wav", runs / "tested" / "0002.wav")
    assert tested.read_bytes() == text
    assert bench(runs, runs / "plan.yaml") == 0
    models = runs / "work" / "models"
    assert (len(decoded), len(list(models.iterdir()))) == (2, 1)  # float and int8, as it was
    for number in range(4):  # whichever two are chosen
        shutil.copy(runs / "loud" / f"{number:04d}.wav", runs / "calibration")
    assert bench(runs, runs / "plan.yaml") == 0
    assert (len(decoded), len(list(models.iterdir()))) == (3, 2)  # another int8 model
    assert len({read_model(path).input.scale for path in models.iterdir()}) == 2
    assert bench(runs, runs / "plan.yaml") == 0
    assert len(decoded) == 3


def test_another_version_of_the_program_decodes_again(
    runs: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench(runs, *pairs(runs, manifest)) == 0
    decoded = note_decoded(monkeypatch)
    monkeypatch.setattr(accuracy_runs, "__version__", "another")
    assert bench(runs, *pairs(runs, manifest)) == 0
    assert len(decoded) == 8  # four checkpoints, float and int8


def test_what_is_kept_is_what_is_scored(
    runs: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(runs, *pairs(runs, manifest), "--json") == 0
    capsys.readouterr()
    texts = [json.loads(line)["text"] for line in manifest.read_text().splitlines()]
    for file in (runs / "work" / "hypotheses").iterdir():
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "hypotheses": [texts[0]] * len(texts)}))
    assert bench(runs, *pairs(runs, manifest), "--json") == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    expected = word_error_rate([count_errors(text, texts[0]) for text in texts])
    assert figures["tones_dense_float_wer"] == pytest.approx(expected, rel=1e-5)
    assert figures["tones_drop"] == 0.0


def test_a_plan_with_its_own_calibration_set_and_a_language_model(
    runs: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "words.txt").write_text("ab ba\nb a\n")
    lm = runs / "lm.arpa"
    assert main(["data", "text-lm", str(runs / "words.txt"), "--output", str(lm)]) == 0
    other = write_corpus(runs / "other", 4, seed=5, letters="ab")
    plan = runs / "plan.yaml"
    run = {"label": "x", "checkpoint": str(runs / "s0")}
    corpus = {"manifest": str(manifest), "lm": str(lm), "single": {"9054": run["checkpoint"]}}
    values: dict[str, Any] = {
        "corpora": {"t": corpus},
        "equal_nonzeros": {"manifest": str(manifest), "dense_small": [run], "sparse_large": [run]},
        "tried": {"manifest": str(manifest), "runs": [{**run, "note": "as it came"}]},
    }  # fmt: skip
    plan.write_text(json.dumps(values))
    assert bench(runs, plan) == 0
    shown = capsys.readouterr().out
    for words in ("t_wer_9054_lm", "equal nonzeros", "as it came", "single runs"):
        assert words in shown
    kept = len(list((runs / "work" / "hypotheses").iterdir()))
    before = set((runs / "work" / "models").iterdir())
    plan.write_text(json.dumps({**values, "calibration": str(other)}))
    assert bench(runs, plan) == 0
    after = set((runs / "work" / "models").iterdir())
    assert len(before) == 1
    assert len(after) == 2
    scales = {read_model(path).input.scale for path in after}
    assert len(scales) == 2
    # Another int8 model is decoded, greedily and with the language model; float is not again.
    assert len(list((runs / "work" / "hypotheses").iterdir())) == kept + 2


def plan_of(runs: Path, manifest: Path) -> dict[str, Any]:
    """A plan with something in every place that can be wrong."""
    run = {"label": "x", "checkpoint": str(runs / "s0")}
    corpus = {
        "manifest": str(manifest),
        "pairs": [{"dense": str(runs / "d0"), "sparse": str(runs / "s0")}],
        "single": {"9054": str(runs / "s1")},
    }
    return {
        "corpora": {"t": corpus},
        "equal_nonzeros": {
            "manifest": str(manifest),
            "dense_small": [dict(run)],
            "sparse_large": [dict(run)],
        },
        "tried": {"manifest": str(manifest), "runs": [dict(run)]},
    }


def change(values: Any, place: str, value: Any) -> None:
    """Set ``value`` at a place such as ``tried.runs.0.checkpoint``."""
    *path, last = (int(part) if part.isdigit() else part for part in place.split("."))
    for part in path:
        values = values[part]
    values[last] = value


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("corpora.t.manifest", "{runs}/no.jsonl", "corpora.t.manifest: {runs}/no.jsonl: cannot"),
        ("corpora.t.split", "test2", "corpora.t.manifest: {manifest}: the manifest holds no"),
        ("corpora.t.lm", "{runs}/no.arpa", "corpora.t.lm: "),
        ("corpora.t.lm", "{manifest}", "corpora.t.lm: {manifest}"),
        ("corpora.t.pairs.0.dense", "{runs}/no", "corpora.t.pairs[0].dense: {runs}/no: "),
        ("corpora.t.pairs.0.sparse", "{runs}/d0", "corpora.t.pairs[0]: {runs}/d0 is 0.0% sparse"),
        ("corpora.t.single", {"9054": "{runs}/no"}, "corpora.t.single.9054: {runs}/no: "),
        ("equal_nonzeros.manifest", "{runs}/no", "equal_nonzeros.manifest: {runs}/no: "),
        (
            "equal_nonzeros.sparse_large.0.checkpoint",
            "{runs}/no",
            "equal_nonzeros.sparse_large[0]: {runs}/no: ",
        ),
        ("tried.manifest", "{runs}/no", "tried.manifest: {runs}/no: "),
        ("tried.runs.0.checkpoint", "{runs}/no", "tried.runs[0]: {runs}/no: "),
        ("calibration", "{runs}/no", "calibration: {runs}/no: "),
    ],
)
def test_what_is_bad_is_found_before_anything_is_measured(
    runs: Path,
    manifest: Path,
    place: str,
    value: Any,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts = {"runs": runs, "manifest": manifest}
    values = plan_of(runs, manifest)
    change(values, place, value)
    plan = runs / "plan.yaml"
    text = json.dumps(values)
    for name, path in facts.items():
        text = text.replace(f"{{{name}}}", str(path))
    plan.write_text(text)
    assert bench(runs, plan) == 2
    said = capsys.readouterr().err
    assert message.format(**facts) in said
    assert said.count("\n") == 1
    assert not (runs / "work").exists()


@pytest.mark.parametrize(
    ("speaker", "options", "message"),
    [
        ("", (), "its utterances (4) name no speaker"),
        ("anna", (), "its utterances (4) name one speaker only, 'anna'"),
        (None, ("--limit", "1"), "its utterances (1) name one speaker only, 's0'"),
    ],
)
def test_speakers_are_there_before_anything_is_measured(
    runs: Path,
    manifest: Path,
    speaker: str | None,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    test = runs / "test.jsonl"
    utterances = read_manifest(manifest)
    if speaker is not None:
        utterances = [replace(utterance, speaker=speaker) for utterance in utterances]
    write_manifest(test, utterances)
    command = [*pairs(runs, test)[2:], "--manifest", test, *options]
    assert bench(runs, *command, "--by-speaker") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"sparsespeech: error: corpora.tones.manifest: {test}: {message}")
    assert said.count("\n") == 1
    assert not (runs / "work").exists()


def test_scales_that_would_undo_shared_weights_are_refused_for_int8(
    runs: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(runs / "rows", 3, 0.5, manifest, {"per_row": True})
    command = ["compress", str(runs / "rows"), "--codebook", "4", "--output", str(runs / "shared")]
    assert main(command) == 0
    plan = runs / "plan.yaml"
    shared = str(runs / "shared")
    corpus = {"manifest": str(manifest), "single": {"x": shared}}
    plan.write_text(json.dumps({"corpora": {"t": corpus}}))
    capsys.readouterr()
    assert bench(runs, plan) == 2
    said = capsys.readouterr().err
    assert "corpora.t.single.x: " in said and "share 4 values each" in said
    assert said.count("\n") == 1
    assert not (runs / "work").exists()
    tried = {"manifest": str(manifest), "runs": [{"checkpoint": shared}]}
    plan.write_text(json.dumps({"tried": tried}))
    assert bench(runs, plan) == 0  # in float they are what they are


def test_damaged_weights_are_found_before_anything_is_measured(
    runs: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = (runs / "s1").glob("checkpoints/*/model.safetensors")
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    plan = runs / "plan.yaml"
    plan.write_text(json.dumps(plan_of(runs, manifest)))
    assert bench(runs, plan) == 2
    assert "corpora.t.single.9054: " in capsys.readouterr().err
    assert not (runs / "work").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either a plan or --manifest"),
        (("--manifest", "m"), "--pair DENSE,SPARSE"),
        (("--manifest", "m", "--pair", "a"), "--pair DENSE,SPARSE"),
        (("plan.yaml", "--pair", "a,b"), "belongs to --manifest"),
        (("plan.yaml",), "plan.yaml: No such file"),
        (("--manifest", "m", "--pair", "a,b", "--corpus", "A"), "small letters"),
        (("--manifest", "{manifest}", "--pair", "a,b"), "no checkpoint here"),
        (("{plan}", "--markdown", "{manifest}"), "exists and does not hold <!-- bench accuracy"),
    ],
)
def test_impossible_wishes(
    runs: Path,
    manifest: Path,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = runs / "good.yaml"
    plan.write_text(json.dumps(plan_of(runs, manifest)))
    filled = (text.format(manifest=manifest, plan=plan) for text in arguments)
    assert bench(runs, *filled) == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_recipe_without_training_speech(
    runs: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = runs / "d0" / "checkpoints" / "step-00000007" / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "recipe": {"name": "imported"}}))
    assert bench(runs, *pairs(runs, manifest)) == 2
    assert "give calibration in the plan" in capsys.readouterr().err
