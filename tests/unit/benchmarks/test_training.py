"""``bench training``: every contender trains the same network, and the figures are right."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparsespeech.benchmarks import measurement, peers_training, training
from sparsespeech.benchmarks.measurement import Timing
from sparsespeech.benchmarks.plots import check_picture, draw
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.training import (
    CONTENDERS,
    OURS,
    SPARSITY,
    WORKS,
    TrainingOptions,
    batch_lengths,
    run_training,
    started_contenders,
)
from sparsespeech.errors import BenchmarkError, MissingDependencyError

WIDTH = 12


def task(work: str) -> dict[str, Any]:
    lengths = batch_lengths(4, 20)
    return {"work": work, "width": WIDTH, "steps": 20, "lengths": lengths, "sparsity": SPARSITY}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_lengths_go_evenly_from_the_longest_down() -> None:
    lengths = batch_lengths(24, 150)
    assert (lengths[0], lengths[-1], len(lengths)) == (150, 60, 24)
    assert set(np.diff(lengths)) <= {-4, -3}
    assert batch_lengths(1, 150) == [150]
    assert min(batch_lengths(5, 2)) >= 1


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("name", CONTENDERS)
def test_a_contender_agrees_with_torch_and_runs(work: str, name: str) -> None:
    peer = peers_training.prepare(task(work), 1, CONTENDERS[name].precision)
    first, second = peer.run(), peer.run()
    assert np.isfinite(first).all()
    np.testing.assert_allclose(first, second, rtol=1e-2, atol=1e-2)  # it hardly learns
    output, gradient = peer.finish(first)
    if "bf16" in name:
        assert 0 <= output < 0.05
        assert 1e-4 < gradient < 0.2
    else:
        assert 0 <= output < 1e-5
        assert 0 <= gradient < 1e-4


def test_another_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = peers_training._forward

    def late(network: Any, work: str, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        output = forward(network, work, x, lengths)
        theirs = any(isinstance(m, peers_training.TorchLstm) for m in network.modules())
        return output if theirs else output.roll(1, dims=0)

    monkeypatch.setattr(peers_training, "_forward", late)
    with pytest.raises(BenchmarkError, match=r"outputs differ from those of nn\.LSTM"):
        peers_training.prepare(task("layer"), 1, CONTENDERS[OURS].precision)


def test_wrong_gradients_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = peers_training._gradients

    def forgetful(network: Any) -> dict[str, torch.Tensor]:
        found = gradients(network)
        if not any(isinstance(m, peers_training.TorchLstm) for m in network.modules()):
            found["layer4.directions.1.weight_hh"] = torch.zeros_like(
                found["layer4.directions.1.weight_hh"]
            )
        return found

    monkeypatch.setattr(peers_training, "_gradients", forgetful)
    with pytest.raises(BenchmarkError, match=r"gradients differ .* by 1 of their norm"):
        peers_training.prepare(task("layer"), 1, "ours fp32")


def test_all_gradients_are_compared() -> None:
    network = peers_training._network("model", WIDTH)
    peers_training._replace_lstm(network, packs=True)
    output = network(torch.randn(2, 5, 26), torch.tensor([5, 3]))
    output.sum().backward()
    names = set(peers_training._gradients(network))
    assert names == {name for name, _ in peers_training._network("model", WIDTH).named_parameters()}


def test_the_sparse_contender_keeps_its_zeros() -> None:
    network = peers_training._network("model", 32)
    masks = peers_training._random_masks(network, 0.96)
    assert "layer6.weight" not in masks
    assert len(masks) == 8
    for name, mask in masks.items():
        assert float(mask.mean()) == pytest.approx(0.04, abs=0.002), name


def synthetic_result() -> BenchResult:
    result = BenchResult(
        "training", {"widths": [8, 16], "figure_width": 16, "threads": 1, "rounds": 1}
    )
    for work in WORKS:
        for width in (8, 16):
            rows = [
                {
                    "width": width,
                    "name": name,
                    "median_ms": float((number + 1) * width),
                    "audio_hours_per_hour": 100.0 / ((number + 1) * width),
                }
                for number, name in enumerate(CONTENDERS)
            ]
            result.add_rows(work, *rows)
            if width == 16:
                training._add_figures(result, work, {row["name"]: row for row in rows})
    return result


def test_figures_are_ratios_of_medians() -> None:
    figures = synthetic_result().figures
    assert figures["ratio_nn_lstm_fp32"] == 4.0
    assert figures["ratio_nn_lstm_bf16"] == 5.0
    assert figures["ratio_nn_lstm_packed"] == 6.0  # float32 is the faster one here
    assert figures["ratio_nn_lstm_fp32_both_fp32"] == 2.0
    assert figures["ratio_nn_lstm_bf16_to_sparse"] == pytest.approx(5 / 3)
    assert figures["model_ratio_nn_lstm_bf16"] == 5.0
    assert figures["audio_hours_per_hour"] == 100 / 16


def test_the_picture_shows_all_contenders(tmp_path: Path) -> None:
    picture = tmp_path / "training.png"
    check_picture(picture)
    draw(synthetic_result(), picture)
    with Image.open(picture) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(10**6)}
    assert {(0, 114, 178), (0, 158, 115), (230, 159, 0), (213, 94, 0)} <= colours


def test_a_row_counts_real_frames_only() -> None:
    timing = Timing("nn_lstm_bf16", ((2.0, 2.0),))
    ours = Timing(OURS, ((0.5, 0.5),))

    contender = SimpleNamespace(outputs=np.array([0.25, 0.5]), resident_mib=100.4, notes={})
    row = training._row(contender, timing, ours, audio_s=10.0)
    assert row["audio_hours_per_hour"] == 5.0
    assert row["ratio"] == 4.0
    assert (row["output_difference"], row["gradient_difference"]) == (0.25, 0.5)


def test_torch_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="torch"):
        run_training(TrainingOptions(rounds=1))


@pytest.mark.slow
def test_a_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "TURN_SECONDS", 0.0)
    said: list[str] = []
    options = TrainingOptions(
        rounds=1, widths=(WIDTH,), utterances=4, steps=20, on_progress=said.append
    )
    result = run_training(options)
    assert said == ["layer, width 12", "model, width 12"]
    assert [row["name"] for row in result.table("model")] == list(CONTENDERS)
    assert result.machine["versions"]["torch"] == torch.__version__
    assert {"ratio_nn_lstm_fp32", "ratio_nn_lstm_bf16", "ratio_nn_lstm_packed"} <= set(
        result.figures
    )
    for row in result.rows:
        assert row["output_difference"] < 0.05


@pytest.mark.slow
def test_a_failing_contender_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = training.Contender("ours fp64", "no such precision")
    monkeypatch.setitem(training.CONTENDERS, OURS, broken)
    with (
        pytest.raises(BenchmarkError, match=r"(?s)peer ours_bf16 stopped.*no figure is reported"),
        started_contenders(task("layer"), 1, [OURS]),
    ):
        pass
