"""Cycles against sparsity: which rows there are, and what they count, on small networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.benchmarks import accelerator_density
from sparsespeech.benchmarks.accelerator_density import (
    DenseModel,
    SimulatedDensityOptions,
    run_density_simulated,
)
from sparsespeech.benchmarks.accelerator_models import AcceleratorOptions, TimedProgram
from sparsespeech.benchmarks.latency import make_random_model
from sparsespeech.benchmarks.markdown import to_markdown
from sparsespeech.benchmarks.plots import check_picture, draw
from sparsespeech.benchmarks.pruned_patterns import PATTERNS, changed_matrices, with_pattern
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.errors import CompileError, NoProgramError
from sparsespeech.model_file.model import LstmLayer, SparseMatrix

BLUE, GREEN, RED = (0, 114, 178), (0, 158, 115), (213, 94, 0)


def shown(result: BenchResult, folder: Path, *, colours: set[tuple[int, int, int]]) -> str:
    """The Markdown; the picture must hold ``colours``, and the JSON must come back."""
    picture = folder / "picture.png"
    check_picture(picture)
    draw(result, picture)
    with Image.open(picture) as image:
        drawn = {colour for _, colour in image.convert("RGB").getcolors(10**6)}
    assert colours <= drawn
    again = BenchResult.from_json(json.loads(json.dumps(result.to_json())))
    assert to_markdown(again).count("| --- |") >= 1
    return to_markdown(result)


def test_density(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator_density, "LARGE_SPARSITIES", (0.96,))
    sparsities = (0.5, 0.9375, 0.98)
    tiny = AcceleratorOptions(make_random_model(16), frames=12)
    wanted = SimulatedDensityOptions(tiny, full=tiny.model, sparsities=sparsities)
    result = run_density_simulated(wanted)
    core = {(row["sparsity"], row["pattern"]): row for row in result.table("one core")}
    assert list(core) == [
        (sparsity, pattern) for sparsity in sparsities for pattern in ("random", "bank-balanced")
    ]
    assert core[0.5, "bank-balanced"]["cycles_per_row_group"] == pytest.approx(8.0)
    assert core[0.9375, "bank-balanced"]["cycles_per_row_group"] == pytest.approx(1.0)
    for row in core.values():
        assert row["cycles_per_row_group"] >= row["fewest_possible"]
    sizes = result.table("size of the trained model")
    magnitude = [row["sparsity"] for row in sizes if row["pattern"] == "magnitude"]
    assert magnitude == [0.98]  # the model has 4 %
    assert result.figures == {
        "cycles_per_row_group_random": core[0.9375, "random"]["cycles_per_row_group"],
        "cycles_per_row_group_bank_balanced": pytest.approx(1.0),
        "fullest_bank_over_mean_random": core[0.9375, "random"]["fullest_bank_over_mean"],
        "fullest_bank_over_mean_bank_balanced": pytest.approx(1.0),
    }
    assert [row["pattern"] for row in result.table("full size")] == ["random", "bank-balanced"]
    page = shown(result, tmp_path, colours={BLUE, GREEN})
    assert "One core, up to 4096 x 1024" in page
    assert "its rows begin there; a trained model for the rows before comes with" in page


def dense_model(hidden: int) -> DenseModel:
    """Every weight there; the input gate's rows have larger ones, as trained networks may."""
    rng = np.random.default_rng(7)

    def filled(matrix: SparseMatrix) -> SparseMatrix:
        rows, columns = matrix.shape
        whole = rng.integers(1, 90, (rows, columns), dtype=np.int8)
        whole[: rows // 4] += np.int8(30)
        return SparseMatrix(
            matrix.shape,
            np.arange(rows + 1, dtype=np.int64) * columns,
            np.tile(np.arange(columns, dtype=np.int32), rows),
            whole.reshape(-1),
        )

    model = make_random_model(hidden)
    layers = tuple(changed_matrices(layer, filled) for layer in model.layers)
    return DenseModel(replace(model, layers=layers), "dense.safetensors", "ab" * 32)


def test_a_dense_model_covers_every_sparsity(tmp_path: Path) -> None:
    # As wide as the LSTM's input of 64, and too small for half of its weights.
    config = replace(
        TARGETS["mau-stratix10"],
        cores=20,
        weight_words=30,
        window_columns=4,
        multipliers_per_window=1,
    )
    tiny = AcceleratorOptions(make_random_model(16), frames=3)
    sparsities = (0.5, 0.9375)
    wanted = SimulatedDensityOptions(
        replace(tiny, target=config), dense_model(32), sparsities=sparsities
    )
    result = run_density_simulated(wanted)
    rows = {
        (row["sparsity"], row["pattern"]): row for row in result.table("size of the dense model")
    }
    assert list(rows) == [(sparsity, pattern) for sparsity in sparsities for pattern in PATTERNS]
    facts = result.config["dense_model"]
    assert (facts["file"], facts["sha256"], facts["density"]) == (
        "dense.safetensors",
        "ab" * 32,
        1.0,
    )
    assert facts["weight_words"] == 60
    assert facts["weight_words_of_target"] == 30
    # The same by hand: prune, compile for the deeper memories, count.
    pruned = with_pattern(dense_model(32).model, "magnitude", 0.5)
    options = replace(tiny, model=pruned, target=replace(config, weight_words=60))
    timed = TimedProgram.of(options.compile("paper"))
    row = rows[0.5, "magnitude"]
    assert row["ms_paper"] == pytest.approx(timed.run([[3]]).cycles / 250e3)
    assert row["busiest_core"] == timed.metrics.cycles_per_frame
    assert row["cores_of_target"] == "does not fit"
    with pytest.raises(CompileError):
        replace(options, target=config).compile("paper")
    sparse = replace(options, model=with_pattern(dense_model(32).model, "magnitude", 0.0625))
    cores = replace(sparse, target=config).compile("paper").metrics().cores_used
    assert rows[0.9375, "magnitude"]["cores_of_target"] == cores
    core = {
        row["sparsity"]: row for row in result.table("one core") if row["pattern"] == "magnitude"
    }
    lstm = with_pattern(dense_model(32).model, "magnitude", 0.0625).layers[3]
    assert isinstance(lstm, LstmLayer)
    kept = np.diff(lstm.forward.input_weights.row_start).reshape(4, 32).sum(axis=1)  # by gate
    assert core[0.9375]["fullest_lane_over_mean"] == pytest.approx(kept[0] / kept.mean())
    assert kept.sum() == 128 * 64 / 16
    assert result.figures["fullest_bank_over_mean_magnitude"] > 2
    assert result.figures["trained_over_random"] == pytest.approx(
        result.figures["cycles_per_row_group_magnitude"]
        / result.figures["cycles_per_row_group_random"]
    )
    page = shown(result, tmp_path, colours={BLUE, GREEN, RED})
    assert "with weight memories of 60 words in place of 30" in page
    assert "| 50 | trained |" in page
    assert "does not fit" in page
    assert "its rows begin there" in page  # those of the model that was trained sparse


def test_no_deeper_memories_where_all_fits() -> None:
    tiny = AcceleratorOptions(make_random_model(16), frames=3)
    result = run_density_simulated(
        SimulatedDensityOptions(tiny, dense_model(16), sparsities=(0.5,))
    )
    facts = result.config["dense_model"]
    assert facts["weight_words"] == facts["weight_words_of_target"] == 1024
    assert not any("cores_of_target" in row for row in result.rows)


def test_a_network_of_which_nothing_fits_is_an_error() -> None:
    none = AcceleratorOptions(make_random_model(64), target="tiny")
    with pytest.raises(CompileError, match="cores"):
        run_density_simulated(SimulatedDensityOptions(none, sparsities=(0.98,)))


def test_a_model_that_no_program_runs_is_an_error() -> None:
    wide = replace(dense_model(16), model=replace(make_random_model(16), activation_bits=16))
    tiny = AcceleratorOptions(make_random_model(16))
    with pytest.raises(NoProgramError, match="wide mode"):
        run_density_simulated(SimulatedDensityOptions(tiny, wide, sparsities=(0.98,)))
