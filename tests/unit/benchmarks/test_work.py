"""Work, limits and machine facts, counted by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.benchmarks.limits import Limits, measure_limits
from sparsespeech.benchmarks.machine_facts import cache_sizes, library_versions, machine_facts
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.work import stepwise_bytes, work_of, work_row
from tests.instruction_sets import built_instruction_sets


class _Packed:
    """An engine with a batched matrix and a recurrent one in two forms."""

    matrices = (
        {"name": "layer1", "rows": 10, "columns": 20, "nonzeros": 50, "bytes": 150,
         "slots_per_nonzero": 0.0},
        {"name": "layer2.forward.recurrent", "rows": 8, "columns": 2, "nonzeros": 10, "bytes": 60,
         "slots_per_nonzero": 1.5},
    )  # fmt: skip


def test_one_utterance_reads_the_recurrent_matrix_at_every_frame() -> None:
    work = work_of(_Packed(), frames=5)
    assert work.products == (50 + 10) * 5
    assert work.dense_operations == 2 * (200 + 16) * 5
    assert work.weight_bytes == 150 + 5 * 30  # sweep form: 1.5 slots of 2 bytes, 10 nonzeros


def test_a_batch_reads_the_other_form() -> None:
    work = work_of(_Packed(), frames=5, batch=3)
    assert work.products == 60 * 15
    assert work.weight_bytes == 150 + 5 * 30  # the 60 bytes less those of the sweep form
    assert stepwise_bytes(_Packed()) == 30


def test_shares_of_the_limits() -> None:
    limits = Limits("avx512", 2, 1000, bytes_read=600.0, products=1200.0, picked_products=400.0)
    row = work_row(work_of(_Packed(), frames=5), 2.0, limits)
    assert row["weight_gb_per_s"] == pytest.approx(150e-9)
    assert row["share_of_read_limit"] == pytest.approx(150 / 600)
    assert row["share_of_product_limit"] == pytest.approx(150 / 1200)
    assert row["share_of_picked_product_limit"] == pytest.approx(150 / 400)
    assert "share_of_read_limit" not in work_row(work_of(_Packed(), frames=5), 2.0, None)


def test_without_native_code_there_are_no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sparsespeech._native", None)
    assert measure_limits("scalar", 1, 1000) is None


@pytest.mark.skipif(not built_instruction_sets(), reason="the native engine was not built")
@pytest.mark.parametrize("instruction_set", built_instruction_sets())
def test_limits_of_each_instruction_set(instruction_set: str) -> None:
    limits = measure_limits(instruction_set, 1, 10_000, seconds=0.01)
    assert limits is not None
    row = limits.to_row()
    assert row["instruction_set"] == instruction_set
    # A processor that multiplies less than a million numbers a second cannot run this test.
    assert min(limits.bytes_read, limits.products, limits.picked_products) > 1e6
    assert limits.products >= 0.5 * limits.picked_products


@pytest.mark.skipif(not built_instruction_sets(), reason="the native engine was not built")
@pytest.mark.parametrize(
    ("instruction_set", "threads", "seconds"),
    [("neon", 1, 0.01), ("scalar", 0, 0.01), ("scalar", 1, 0.0), ("scalar", 1, float("nan"))],
)
def test_impossible_limits_are_refused(instruction_set: str, threads: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="limits: "):
        measure_limits(instruction_set, threads, 1000, seconds=seconds)


def test_machine_facts_name_processor_flags_and_versions() -> None:
    facts = machine_facts()
    assert facts["versions"]["numpy"] == np.__version__
    assert set(facts) >= {"processor", "cpu_flags", "memory_gib", "caches", "load_average"}
    assert library_versions(("no_such_library",)) == {}


def test_cache_sizes_come_from_the_system(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in {"level": level, "type": kind, "size": size}.items():
            (folder / name).write_text(value + "\n")
    (tmp_path / "index9").mkdir()
    assert cache_sizes(tmp_path) == {"L1": "48K", "L2": "1024K"}


def test_json_has_the_stated_keys_and_six_digits() -> None:
    result = BenchResult("latency", {"threads": 2}, figures={"acoustic_ms": 1.23456789})
    result.add_rows("stages", {"name": "greedy", "median_ms": 0.000123456789})
    answer = result.to_json()
    assert list(answer) == ["bench", "machine", "config", "figures", "rows"]
    assert answer["figures"] == {"acoustic_ms": 1.23457}
    assert answer["rows"] == [{"table": "stages", "name": "greedy", "median_ms": 0.000123457}]
