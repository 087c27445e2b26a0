"""Every benchmark gives the figures that design and README name, on models of a few cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsespeech.benchmarks import density, latency, lstmp, recurrent_latency, throughput
from sparsespeech.benchmarks.comparison import Settings
from sparsespeech.benchmarks.deepbench import DeepBenchOptions, run_deepbench
from sparsespeech.benchmarks.density import DensityOptions, break_even, run_density
from sparsespeech.benchmarks.engine import cpu_engine
from sparsespeech.benchmarks.latency import LatencyOptions, run_latency
from sparsespeech.benchmarks.lstmp import LstmpOptions, run_lstmp
from sparsespeech.benchmarks.measurement import Timing
from sparsespeech.benchmarks.plots import check_picture, draw
from sparsespeech.benchmarks.product_models import random_vectors
from sparsespeech.benchmarks.recurrent_latency import recurrent_direction
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.speech_input import bundled_recordings
from sparsespeech.benchmarks.stage_latency import bundled_texts, ngram_language_model
from sparsespeech.benchmarks.throughput import ThroughputOptions, run_throughput
from sparsespeech.errors import BenchmarkError
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.reader import read_model
from tests.instruction_sets import built_instruction_sets

BLUE = (0, 114, 178)


def _draw(result: BenchResult, folder: Path) -> set[tuple[int, ...]]:
    """The colours of the picture."""
    picture = folder / "picture.png"
    check_picture(picture)
    draw(result, picture)
    with Image.open(picture) as image:
        return {colour for _, colour in image.convert("RGB").getcolors(10**6)}


def test_latency(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "LAYER_RUNS", 1)
    monkeypatch.setattr("sparsespeech.benchmarks.recurrent_latency.FRAMES", 5)
    options = LatencyOptions(settings, read_model(resolve_model("english-small")), hidden=16)
    result = run_latency(options)
    both = {
        "acoustic_ms",
        "features_ms",
        "softmax_ms",
        "greedy_ms",
        "beam_ms",
        "end_to_end_ms",
        "recurrent_us",
    }
    if "avx2" in result.machine["cpu_flags"]:
        both.add("acoustic_ms_avx2")
    assert set(result.figures) == {
        *both,
        *(f"{name}_trained" for name in both),
        "acoustic_ms_bank_balanced",
        "recurrent_us_bank_balanced",
        "small_realtime_factor",
    }
    assert [row["layer"] for row in result.table("layers")][:6] == [
        f"layer{number}" for number in range(1, 7)
    ]
    assert sum(row["share"] for row in result.table("layers")) == pytest.approx(2.0)
    assert [row["weights"] for row in result.table("work")] == ["random", "trained"]
    assert _draw(result, tmp_path) >= {BLUE}


def test_the_recurrent_product_is_what_the_gates_leave(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = recurrent_latency.FRAMES
    known = {
        name: Timing(name, ((seconds * frames,),))
        for name, seconds in (("step", 5.0), ("gates", 2.0))
    }
    monkeypatch.setattr(recurrent_latency, "take_turns", lambda *contenders, rounds: known)
    result = BenchResult("latency", {})
    direction = recurrent_direction(read_model(resolve_model("english-small")))
    timed = recurrent_latency.time_recurrent_product(direction, settings, result, weights="known")
    assert (timed.product, timed.step, timed.ratios) == (3.0, 5.0, {})
    assert [row["median_us"] for row in result.rows] == [3e6, 2e6]
    assert result.rows[0]["nonzeros"] == direction.recurrent_weights.nonzeros


def test_the_two_lstms_differ_in_their_recurrent_weights_alone() -> None:
    direction = recurrent_direction(read_model(resolve_model("english-small")))
    (_, step, ours), (_, gates, idle) = recurrent_latency._lstms(direction, random_vectors(6, 16))
    assert step.layers[0].forward.recurrent_weights is direction.recurrent_weights
    assert gates.layers[0].forward.recurrent_weights.nonzeros == 0
    assert gates.layers[0].forward.input_weights is step.layers[0].forward.input_weights
    assert not np.array_equal(ours, idle)


def test_the_real_time_factor_is_audio_over_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Timing("bundled recordings", ((0.25,),))
    monkeypatch.setattr(latency, "time_call", lambda *given, rounds, check: known)
    result = BenchResult("latency", {})
    latency._small_realtime_factor(result, settings, read_model(resolve_model("english-small")))
    seconds = sum(map(len, bundled_recordings())) / 16000
    assert result.figures["small_realtime_factor"] == pytest.approx(seconds / 0.25)


def test_throughput(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "FIRST_STREAMS", 1)
    monkeypatch.setattr(throughput, "LIMIT_SECONDS", 0.005)
    monkeypatch.setattr(throughput, "CHUNKS_OF_UTTERANCE", 2)
    options = ThroughputOptions(settings, hidden=16, chunks_each=2, batches=(1, 3))
    result = run_throughput(options)
    assert {"streams", "batch_effective_tops"} <= set(result.figures)
    assert result.config["chunk_frames"] == 16
    one, three = result.table("batches")
    assert three["batch"] == 3
    assert result.figures["batch_effective_tops"] == pytest.approx(
        max(one["effective_tops"], three["effective_tops"]), rel=1e-3
    )
    assert _draw(result, tmp_path) >= {BLUE}


def test_deepbench(settings: Settings, tmp_path: Path) -> None:
    result = run_deepbench(DeepBenchOptions(settings, divisor=64))
    assert set(result.figures) == {"n1_real_tops", "n1500_real_tops"}
    row = result.table("product")[1]
    operations = 2 * result.config["nonzeros"] * row["vectors"]
    assert row["vectors"] == 1500 // 64
    assert row["real_tops"] == pytest.approx(operations / (row["median_ms"] * 1e-3) / 1e12)
    assert _draw(result, tmp_path) >= {BLUE}


def test_lstmp(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstmp, "FRAMES", 6)
    monkeypatch.setattr(lstmp, "LAYER_RUNS", 1)
    result = run_lstmp(LstmpOptions(settings, divisor=64))
    assert set(result.figures) == {"ms_1_channel", "ms_32_channels"}
    assert result.config["projection"] == 16
    assert [row["latency_ms"] for row in result.table("published")] == [18155.22, 264.9576, 133.778]
    assert _draw(result, tmp_path) >= {BLUE}


def test_density(settings: Settings, tmp_path: Path) -> None:
    result = run_density(DensityOptions(settings, densities=(0.1, 0.6), divisor=128))
    assert set(result.figures) == {"break_even_density", "break_even_density_recurrent"}
    forms = [row["form"] for row in result.table(density.PRODUCTS[0].name)]
    assert forms == ["sparse", "dense", "chosen"] * 2
    assert _draw(result, tmp_path) >= {BLUE}


@pytest.mark.parametrize(
    ("sparse", "dense", "expected"),
    [
        ([1.0, 2.0, 4.0], 3.0, 0.35),
        ([1.0, 2.0, 4.0], 2.0, 0.2),
        ([1.0, 2.0, 4.0], 5.0, 1.0),
        ([1.0, 2.0, 4.0], 0.5, 0.1),
    ],
)
def test_break_even_is_where_the_lines_cross(
    sparse: list[float], dense: float, expected: float
) -> None:
    assert break_even([0.1, 0.2, 0.5], sparse, dense) == pytest.approx(expected)


def test_bundled_texts_make_a_language_model() -> None:
    model = ngram_language_model(bundled_texts())
    assert model.order == 3
    assert "kitchen" in model  # of the bundled recordings


def test_a_model_without_lstm_has_no_recurrent_product() -> None:
    model = read_model(resolve_model("english-small"))
    without = replace(model, layers=(model.layers[0], model.layers[-1]))
    with pytest.raises(BenchmarkError, match="no LSTM layer"):
        recurrent_direction(without)


def test_a_picture_has_a_known_suffix() -> None:
    with pytest.raises(BenchmarkError, match=r"ends in \.png, \.svg, \.pdf, not in '\.gif'"):
        check_picture(Path("plot.gif"))


@pytest.mark.skipif(not built_instruction_sets(), reason="the native engine was not built")
def test_the_cpu_engine_has_the_interface_that_is_measured(settings: Settings) -> None:
    ours = replace(settings, make_engine=cpu_engine(), threads=2)
    result = run_deepbench(DeepBenchOptions(ours, divisor=64))
    assert result.figures["n1_real_tops"] > 0
    assert np.isfinite(result.table("work")[0]["share_of_read_limit"])
    forms = run_density(DensityOptions(ours, densities=(0.05,), divisor=128))
    sparse, dense, _ = forms.table(density.PRODUCTS[0].name)
    assert dense["packed_mb"] > sparse["packed_mb"]
