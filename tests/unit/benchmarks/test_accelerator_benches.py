"""The accelerator's benchmarks: figures by hand, small machines, and once at full size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sparsespeech.benchmarks import accelerator_latency
from sparsespeech.benchmarks.accelerator_deepbench import (
    cycles_per_vector,
    deepbench_options,
    run_deepbench_simulated,
    whole_stores,
)
from sparsespeech.benchmarks.accelerator_latency import run_latency_simulated
from sparsespeech.benchmarks.accelerator_models import (
    AcceleratorOptions,
    TimedProgram,
)
from sparsespeech.benchmarks.accelerator_throughput import run_throughput_simulated
from sparsespeech.benchmarks.latency import make_random_model
from sparsespeech.benchmarks.mapping import run_mapping
from sparsespeech.benchmarks.markdown import to_markdown
from sparsespeech.benchmarks.plots import check_picture, draw
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.compiler.program import MAPPINGS, Mapping, Program
from sparsespeech.errors import BenchmarkError, CompileError
from sparsespeech.graph import deepspeech
from sparsespeech.simulator import simulator
from sparsespeech.simulator.weights import TaskWeights
from tests.accelerator_plans import model_of_shapes

BLUE, GREEN = (0, 114, 178), (0, 158, 115)
TABLE_II = {
    "layer1_efficiency": 12.5,
    "layer2_efficiency": 25.0,
    "layer3_efficiency": 50.0,
    "layer4_efficiency": 100.0,
}


@pytest.fixture(scope="module")
def small() -> AcceleratorOptions:
    return AcceleratorOptions(make_random_model(64), frames=12)


def shown(result: BenchResult, folder: Path) -> str:
    """The Markdown; the picture must hold colours, and the JSON must come back."""
    picture = folder / "picture.png"
    check_picture(picture)
    draw(result, picture)
    with Image.open(picture) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(10**6)}
    assert BLUE in colours
    again = BenchResult.from_json(json.loads(json.dumps(result.to_json())))
    assert to_markdown(again).count("| --- |") >= 1
    return to_markdown(result)


def test_table_ii_comes_out_exactly(tmp_path: Path) -> None:
    model = model_of_shapes(deepspeech(2048))  # no nonzeros: a mapping follows from shapes
    result = run_mapping(AcceleratorOptions(model))
    assert {name: result.figures[name] for name in TABLE_II} == TABLE_II
    assert result.figures["total_efficiency"] == pytest.approx(80.1, abs=0.05)
    assert result.figures["cores"] == 34
    assert result.figures["peak_tops"] == pytest.approx(69.6, abs=0.05)
    assert result.figures["peak_tops_with_loads"] == pytest.approx(67.5, abs=0.05)
    assert result.figures["effective_tops"] == pytest.approx(54.0, rel=0.01)
    rows = result.table("layers")
    assert [row["cores"] for row in rows] == [2, 4, 4, 24] * 2
    assert all(row["cores"] == row["paper_cores"] for row in rows)
    page = shown(result, tmp_path)
    assert "| paper | layer4 | bidirectional LSTM | 24 | 100.0 | 24 | 100.0 | 1,056 |" in page


def test_other_networks_stand_beside_no_paper(small: AcceleratorOptions) -> None:
    result = run_mapping(small)
    assert not any("paper_cores" in row for row in result.table("layers"))
    assert not any("paper" in row for row in result.table("totals"))
    assert [row["fits"] for row in result.table("networks from their shapes")] == ["yes"] * 4


def test_a_mapping_that_does_not_compile_is_noted(
    small: AcceleratorOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = AcceleratorOptions.compile

    def failing(options: AcceleratorOptions, mapping: Mapping) -> Program:
        if mapping == "interleaved":
            raise CompileError("no slot")
        return real(options, "paper")

    monkeypatch.setattr(AcceleratorOptions, "compile", failing)
    result = run_mapping(small)
    assert result.config["left_out"] == ["interleaved mapping: no slot"]
    assert {row["mapping"] for row in result.table("layers")} == {"paper"}
    with pytest.raises(CompileError, match="cores"):
        monkeypatch.undo()
        run_mapping(replace(small, target="tiny"))


def test_latency(small: AcceleratorOptions, tmp_path: Path) -> None:
    result = run_latency_simulated(small)
    for mapping in MAPPINGS:
        run = TimedProgram.of(small.compile(mapping)).run([[12]])
        assert result.figures[f"cycles_{mapping}"] == run.cycles
        assert result.figures[f"latency_ms_{mapping}"] == pytest.approx(run.cycles / 250e3)
        assert result.figures[f"equal_logits_{mapping}"] == 12 * 29
    for row in result.table("cycles of a step"):
        parts = ("multiply", "row_limit", "stall", "sums", "arithmetic", "flit", "slot", "network")
        assert sum(row[part] for part in (*parts, "others", "load")) == pytest.approx(row["total"])
        assert row["overhead"] == pytest.approx(row["total"] - row["row_groups"])
    for row in result.table("speed of the simulator"):
        assert (row["utterances"], row["audio_s"]) == (8, pytest.approx(8 * 12 * 0.02))
        assert row["loading_s"] > 0
        speed = row["utterance_seconds_per_minute"]
        assert speed == pytest.approx(60 * row["audio_s"] / row["wall_s"])
        assert result.figures[f"simulated_seconds_per_minute_{row['mapping']}"] == speed
    page = shown(result, tmp_path)
    assert "348 of 348 logits are those of the reference executor" in page
    assert page.count("of 8 utterances); loading the program before took") == 2


def test_images_are_decoded_once_a_program(
    small: AcceleratorOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    real = simulator.task_weights

    def counting(program: Program, task: int) -> TaskWeights:
        decoded.append(task)
        return real(program, task)

    monkeypatch.setattr(simulator, "task_weights", counting)
    run_latency_simulated(small)
    tasks = [len(small.compile(mapping).tasks) for mapping in MAPPINGS]
    assert decoded == [*range(tasks[0]), *range(tasks[1])]


def test_a_wrong_logit_is_no_result(
    small: AcceleratorOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong:
        def __init__(self, model: object) -> None:
            del model

        def run(self, windows: NDArray[np.uint8]) -> NDArray[np.int64]:
            return np.full((len(windows), 29), -1)

    monkeypatch.setattr(accelerator_latency, "load_backend", lambda name: Wrong)
    with pytest.raises(BenchmarkError, match="logits of the simulated accelerator"):
        run_latency_simulated(small)


def test_throughput(small: AcceleratorOptions, tmp_path: Path) -> None:
    result = run_throughput_simulated(small)
    timed = TimedProgram.of(small.compile("paper"))
    weights = sum(rows * columns for rows, columns in ((64, 494), (64, 64), (128, 64)))
    weights += 2 * (4 * 64 * (128 + 64))
    row = result.table("streaming")[1]
    # Longer streams have the same rhythm, and no frame is faster than the busiest core.
    longer = (timed.run([[12] * 2] * 9).cycles - timed.run([[12] * 2] * 4).cycles) / (5 * 2 * 12)
    assert row["cycles_per_frame"] == pytest.approx(longer, rel=0.02)
    assert row["effective_tops"] == pytest.approx(
        2 * weights * 250e6 / row["cycles_per_frame"] / 1e12
    )
    alone = result.table("one utterance alone")[0]
    operations = 2 * weights * 12
    assert alone["effective_tops"] == pytest.approx(operations / alone["latency_ms"] / 1e9)
    assert alone["effective_tops"] < row["effective_tops"]
    energy = result.table("energy (modelled)")
    assert all("model" in row["source"] for row in energy)
    assert energy[0]["joules_per_audio_second"] == pytest.approx(
        energy[0]["watts"] * 50 * timed.metrics.cycles_per_frame / 250e6
    )
    assert "nothing was measured" in shown(result, tmp_path)


def test_no_watts_for_a_target_that_nobody_measured(small: AcceleratorOptions) -> None:
    result = run_throughput_simulated(replace(small, target="deepbench"))
    assert result.table("energy (modelled)") == []
    assert "modelled_watts" not in result.figures


def test_table_vi_by_arithmetic_and_by_counting(tmp_path: Path) -> None:
    result = run_deepbench_simulated(deepbench_options())
    assert result.config["cores"] == 33
    own, whole, arithmetic = result.table("product")
    assert arithmetic["cycles_per_vector"] == 175 + 32
    assert arithmetic["real_tops"] == pytest.approx(2.35, rel=0.02)
    assert arithmetic["effective_tops"] == pytest.approx(47.0, rel=0.02)
    assert result.figures["real_tops_whole_stores"] == pytest.approx(2.35, rel=0.02)
    assert result.figures["effective_tops_whole_stores"] == pytest.approx(47.0, rel=0.02)
    # 853 of 1024 columns are loaded in 27 of 32 cycles.
    assert own["cycles_per_vector"] == whole["cycles_per_vector"] - 5
    assert "| NVIDIA Titan XP, N = 1500 |" in shown(result, tmp_path)


def test_whole_stores_load_longer() -> None:
    timed = TimedProgram.of(deepbench_options(8).compile("paper"))
    config = timed.program.config
    start, stop = timed.program.tasks[0].columns
    more = config.load_cycles(config.columns) - config.load_cycles(stop - start)
    assert more > 0
    assert cycles_per_vector(whole_stores(timed)) - cycles_per_vector(timed) == more


@pytest.mark.slow
def test_the_papers_figures_at_full_size(tmp_path: Path) -> None:
    """Table II exact, latency under its limits, throughput within 1 %, every logit equal."""
    options = AcceleratorOptions(make_random_model(2048))
    mapping = run_mapping(options)
    assert {name: mapping.figures[name] for name in TABLE_II} == TABLE_II
    assert mapping.figures["total_efficiency"] == pytest.approx(80.1, abs=0.05)
    latency = run_latency_simulated(options)
    assert latency.figures["closed_form_cycles_paper"] == 85_748
    assert latency.figures["closed_form_ms_paper"] == pytest.approx(0.343, rel=0.01)
    assert latency.figures["latency_ms_paper"] <= 0.346
    assert latency.figures["latency_ms_interleaved"] <= 0.26
    assert latency.figures["equal_logits_paper"] == 50 * 29
    assert latency.figures["equal_logits_interleaved"] == 50 * 29
    throughput = run_throughput_simulated(options)
    assert throughput.figures["effective_tops"] == pytest.approx(54.0, rel=0.01)
    assert throughput.figures["simulated_tops_paper"] == pytest.approx(54.0, rel=0.01)
    assert throughput.figures["modelled_gops_per_watt"] == pytest.approx(1547, rel=0.02)
    for result, published in ((mapping, "80.1"), (latency, "| paper | MAU paper |")):
        assert published in shown(result, tmp_path)
