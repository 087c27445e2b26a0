"""``bench training``: every contender trains the same network, and the figures are right."""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparsespeech.benchmarks import measurement, peers_training, peers_training_agreement, training
from sparsespeech.benchmarks.measurement import Timing
from sparsespeech.benchmarks.peers_training_network import (
    TorchLstm,
    Trainee,
    TrainingTask,
    gradients_by_name,
    replace_lstm,
)
from sparsespeech.benchmarks.plots import check_picture, draw
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.training import (
    CONTENDERS,
    OURS,
    OURS_SPARSE,
    SPARSITY,
    TORCH,
    WORKS,
    TrainingOptions,
    batch_lengths,
    parse_widths,
    run_training,
    started_contenders,
    take_rounds,
)
from sparsespeech.benchmarks.training_markdown import training_markdown
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
    output, gradient, *exact = peer.finish(first)
    if "bf16" in CONTENDERS[name].precision:
        assert 0 <= output < 0.05
        assert 1e-4 < gradient < 0.2
    else:
        assert 0 <= output < 1e-5
        assert 0 <= gradient < 1e-4
    if name in TORCH:
        assert np.isnan(exact).all()
    else:  # in float32: shares of norms, then the largest difference of single numbers
        assert np.isfinite(exact).all()
        assert 0 <= max(exact[:2]) < 1e-4
        assert 0 <= max(exact[2:]) < 1e-3


def test_the_differences_in_float32_are_those_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    real = peers_training_agreement.agreement
    entered: list[bool] = []

    def noted(trainee: Trainee, twin: Any, *, lengths: bool) -> Any:
        with trainee.autocast():
            entered.append(torch.is_autocast_enabled("cpu"))
        return real(trainee, twin, lengths=lengths)

    monkeypatch.setattr(peers_training, "agreement", noted)
    peers_training.prepare(task("layer"), 1, CONTENDERS[OURS].precision)
    assert entered == [True, False]


def test_another_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Trainee.forward

    def late(trainee: Trainee, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        output = forward(trainee, x, lengths)
        theirs = any(isinstance(m, TorchLstm) for m in trainee.network.modules())
        return output if theirs else output.roll(1, dims=0)

    monkeypatch.setattr(Trainee, "forward", late)
    with pytest.raises(BenchmarkError, match=r"outputs in bf16 differ from those of nn\.LSTM"):
        peers_training.prepare(task("layer"), 1, CONTENDERS[OURS].precision)


def test_wrong_gradients_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(network: Any) -> dict[str, torch.Tensor]:
        found = gradients_by_name(network)
        if not any(isinstance(m, TorchLstm) for m in network.modules()):
            found["layer4.directions.1.weight_hh"] = torch.zeros_like(
                found["layer4.directions.1.weight_hh"]
            )
        return found

    monkeypatch.setattr(peers_training_agreement, "gradients_by_name", forgetful)
    with pytest.raises(BenchmarkError, match=r"gradients in fp32 differ .* by 1 of their norm"):
        peers_training.prepare(task("layer"), 1, "ours fp32")


def test_the_largest_difference_is_that_of_single_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TrainingTask.from_json(task("layer"))
    network = peers_training._network(whole)
    twin = copy.deepcopy(network)
    replace_lstm(twin, packs=True)

    def shifted(network: Any) -> dict[str, torch.Tensor]:
        found = gradients_by_name(network)
        if not any(isinstance(m, TorchLstm) for m in network.modules()):
            found["layer4.directions.0.bias_ih"][3] -= 0.75
        return found

    monkeypatch.setattr(peers_training_agreement, "gradients_by_name", shifted)
    trainee = Trainee(network, {}, whole, nullcontext)
    found = peers_training_agreement.agreement(trainee, twin, lengths=True)
    assert found.largest_gradient == pytest.approx(0.75, rel=1e-3)
    assert found.largest_output < 1e-5


def test_all_gradients_are_compared() -> None:
    whole = TrainingTask.from_json(task("model"))
    network = peers_training._network(whole)
    replace_lstm(network, packs=True)
    output = network(torch.randn(2, 5, 26), torch.tensor([5, 3]))
    output.sum().backward()
    expected = {name for name, _ in peers_training._network(whole).named_parameters()}
    assert set(gradients_by_name(network)) == expected


def test_the_sparse_contender_keeps_its_zeros() -> None:
    network = peers_training._network(TrainingTask("model", 32, 20, (20,), SPARSITY))
    masks = peers_training.random_masks(network, 0.96)
    assert "layer6.weight" not in masks
    assert len(masks) == 8
    for name, mask in masks.items():
        assert float(mask.mean()) == pytest.approx(0.04, abs=0.002), name


@pytest.mark.parametrize("lengths", [(6, 6), (6, 2)])
def test_padding_of_the_input_is_zero(lengths: tuple[int, ...]) -> None:
    x = TrainingTask("layer", 3, 6, lengths, 0.5).random_input()
    assert x.shape == (6, 2, 6)
    for utterance, length in enumerate(lengths):
        assert (x[:length, utterance] != 0).all()
        assert (x[length:, utterance] == 0).all()


def synthetic_result() -> BenchResult:
    """Ours takes 1 and 2 units, torch 4, 3 and 5, at the width 16 twice that."""
    config = {"widths": [8, 16], "figure_width": 16, "threads": 1, "rounds": 3, "steps": 20,
              "utterances": 2, "lengths": [20, 8]}  # fmt: skip
    result = BenchResult("training", config)
    units = dict(zip(CONTENDERS, (1.0, 2.0, 4.0, 3.0, 5.0), strict=True))
    for work, width in (("layer", 8), ("layer", 16), ("model", 16)):
        rows = [
            {
                "width": width, "name": name, "title": CONTENDERS[name].title,
                "median_ms": unit * width, "p10_ms": 0.9 * unit * width,
                "p90_ms": 1.1 * unit * width, "speedup": 3.0 / unit, "speedup_low": 2.9 / unit,
                "speedup_high": 3.2 / unit, "audio_hours_per_hour": 100.0 / (unit * width),
                "peak_mib": 1000 + width, "gradient_difference": 0.01 * width,
                "output_difference_fp32": 1e-7,
                "gradient_difference_fp32": 2e-7, "largest_output_fp32": 1e-6 * width,
                "largest_gradient_fp32": 1e-5,
                "notes": "native kernels avx512_bf16" if name.startswith("ours") else "",
            }
            for name, unit in units.items()
        ]  # fmt: skip
        result.add_rows(work, *rows)
        training.add_figures(result, work, rows, whole=width == 16)
    return result


def test_figures_are_ratios_of_medians() -> None:
    figures = synthetic_result().figures
    assert figures["ratio_nn_lstm_fp32"] == 4.0
    assert figures["ratio_nn_lstm_bf16"] == 3.0
    assert figures["ratio_nn_lstm_packed"] == 5.0
    assert figures["ratio_best_torch"] == figures["ratio_best_torch_8"] == 3.0
    assert figures["ratio_best_torch_sparse"] == figures["ratio_best_torch_sparse_16"] == 1.5
    assert figures["model_ratio_nn_lstm_bf16"] == figures["model_ratio_best_torch"] == 3.0
    assert "model_ratio_best_torch_16" not in figures
    assert figures["audio_hours_per_hour"] == 100 / 16
    assert figures["audio_hours_per_hour_sparse"] == 100 / 32
    assert figures["largest_output_difference_fp32"] == pytest.approx(1.6e-5)  # of both widths


def test_the_markdown_says_all_that_is_published() -> None:
    lines = training_markdown(synthetic_result()).splitlines()
    assert (
        lines[0] == "2 utterances of 8 to 20 frames, 1 thread, median ms of 3 interleaved rounds:"
    )
    (row,) = (line for line in lines if line.startswith("| model, 16"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "model, 16", "16", "32", "64", "48", "80", "3.00 [2.90, 3.20]", "1.50 [1.45, 1.60]",
    ]  # fmt: skip
    text = "\n".join(lines)
    assert "outputs differ by 1.6e-05 at most, gradients by 1.0e-05 (1.0e-07 and 2.0e-07" in text
    assert "ours, dense 0.16, ours, 96 % pruned 0.16, nn.LSTM, bf16 autocast 0.16" in text
    assert "ours, dense 1,016 MiB" in text
    assert text.count("Ours: native kernels avx512_bf16.") == 1
    absent = synthetic_result()
    for row in absent.rows:
        row["notes"] = "native kernels no"
    assert "The native kernels were absent" in training_markdown(absent)


def test_the_picture_shows_all_contenders(tmp_path: Path) -> None:
    picture = tmp_path / "training.png"
    check_picture(picture)
    draw(synthetic_result(), picture)
    with Image.open(picture) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(10**6)}
    assert {(0, 114, 178), (0, 158, 115), (230, 159, 0), (213, 94, 0)} <= colours


def contender(**changes: Any) -> Any:
    facts = {"outputs": np.array([0.25, 0.5, 1e-7, 2e-7, 1e-6, 2e-6]), "peak_mib": 100.4,
             "notes": {"native kernels": "no"}}  # fmt: skip
    return SimpleNamespace(**{**facts, **changes})


def test_a_row_counts_real_frames_and_compares_rounds() -> None:
    ours = Timing(OURS, ((0.5, 0.5), (1.0, 1.0), (0.5,)))
    theirs = [
        Timing("nn_lstm_bf16", ((2.0,), (2.5,), (3.0, 5.0))),
        Timing("nn_lstm_fp32", ((3.0,), (2.0,), (4.5,))),
    ]
    row = training._row(contender(), ours, theirs, audio_s=10.0)
    assert row["audio_hours_per_hour"] == 20.0
    # Rounds of 2.0 / 0.5, 2.0 / 1.0 and 4.0 / 0.5: the fastest way of each.
    assert (row["speedup"], row["speedup_low"], row["speedup_high"]) == (4.0, 2.0, 8.0)
    assert (row["output_difference"], row["gradient_difference"]) == (0.25, 0.5)
    assert (row["largest_output_fp32"], row["largest_gradient_fp32"]) == (1e-6, 2e-6)
    assert (row["peak_mib"], row["notes"]) == (100, "native kernels no")
    peer = training._row(contender(notes={}), theirs[1], theirs[1:], audio_s=10.0)
    assert peer["speedup_low"] == peer["speedup_high"] == 1.0
    assert "largest_output_fp32" not in peer


class Clockwork:
    """A contender whose runs take the same time; notes what it is asked for in ``log``."""

    def __init__(self, name: str, seconds: float, log: list[tuple[str, int, bool]]) -> None:
        self.name, self.first_s, self._log = name, 2 * seconds, log
        self._seconds = seconds

    def time_runs(self, count: int, *, warm: bool = True) -> list[float]:
        self._log.append((self.name, count, warm))
        return [self._seconds] * count


def test_rounds_are_interleaved_and_long_runs_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measurement, "TURN_SECONDS", 0.25)
    log: list[tuple[str, int, bool]] = []
    contenders: Any = {
        name: Clockwork(name, seconds, log)
        for name, seconds in (("fast", 0.05), ("middle", 0.3), ("slow", 4.0))
    }
    timings = take_rounds(contenders, 2)
    assert log == [
        ("fast", 1, True), ("middle", 1, True),  # how long is a run?
        *[("fast", 5, True), ("middle", 2, True), ("slow", 1, False)] * 2,
    ]  # fmt: skip
    assert timings["fast"].turns == ((0.05,) * 5,) * 2
    assert timings["slow"].turns == ((4.0,),) * 2


def test_widths_are_parsed() -> None:
    assert parse_widths("512,256, 512") == (256, 512)
    for text in ("", "a", "0", "256,,512", "-1"):
        with pytest.raises(BenchmarkError, match="whole numbers such as 256,512"):
            parse_widths(text)


def test_the_step_is_measured_at_one_width() -> None:
    assert TrainingOptions(3).tasks == [
        ("layer", 256), ("layer", 384), ("layer", 512), ("layer", 768), ("layer", 1024),
        ("model", 768),
    ]  # fmt: skip
    assert TrainingOptions(3, widths=(32, 64)).tasks[-1] == ("model", 64)


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
    assert {"ratio_nn_lstm_fp32", "ratio_best_torch", "model_ratio_best_torch"} <= set(
        result.figures
    )
    assert max(row["speedup"] for row in result.rows if row["name"] in TORCH) == 1.0
    for row in result.rows:
        assert row["output_difference"] < 0.05
        assert 50 < row["peak_mib"] < 5000
        assert row["name"] in TORCH or row["largest_gradient_fp32"] < 1e-3
    assert OURS_SPARSE in {row["name"] for row in result.table("layer")}


@pytest.mark.slow
def test_a_failing_contender_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = training.Contender("ours fp64", "no such precision")
    monkeypatch.setitem(training.CONTENDERS, OURS, broken)
    with (
        pytest.raises(BenchmarkError, match=r"(?s)peer ours_dense stopped.*no figure is reported"),
        started_contenders(task("layer"), 1, [OURS]),
    ):
        pass
