"""The arithmetic of the MAU paper: functions against plain numbers, the page against functions."""

from __future__ import annotations

import ast
import operator
import re
from pathlib import Path

import pytest

from sparsespeech.compiler.paper_figures import (
    PaperFigure,
    bubble_band,
    deepbench_tops,
    latency_tops,
    paper_figures,
    streaming_tops,
    unfolded_cycles,
)

FIGURES = {figure.name: figure for figure in paper_figures()}
ROW = re.compile(r"^\| `(\w+)` \| .* \| (\S+)(?: [^|]+)? \| (\S+) \| (\S+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "paper-arithmetic.md").read_text(encoding="utf-8")


# ---- the functions, against numbers worked out without them ---------------------------------


def test_throughput_by_both_definitions() -> None:
    weights = 494 * 2048 + 2048 * 2048 + 2048 * 4096 + 2 * 8192 * (4096 + 2048)
    assert streaming_tops() == pytest.approx(2 * weights / 1056 * 250e6 / 1e12)
    assert latency_tops("mau") == pytest.approx(50 * 2 * weights / 0.343e-3 / 1e12)
    assert latency_tops("cpu") == pytest.approx(50 * 2 * weights / 0.349 / 1e12)


def test_the_fit_lies_in_its_band() -> None:
    low, high = bubble_band()
    assert low < 106 < high
    for bubble, milliseconds in ((low, 0.3425), (high, 0.3435)):
        cycles = 27_648 + 50 * (1024 + 32 + bubble)
        assert cycles / 250e3 == pytest.approx(milliseconds)


def test_without_folding_layer_1_takes_112_cycles_more_once() -> None:
    assert unfolded_cycles() == FIGURES["latency_cycles"].computed + 112


@pytest.mark.parametrize(("cores", "steps"), [(27, 214), (30, 192), (33, 175)])
def test_deepbench_by_cores(cores: int, steps: int) -> None:
    assert steps == -(-7680 // 4 // (cores // 3))
    assert deepbench_tops(cores) == pytest.approx(2 * 983_040 / (steps + 27) * 250e6 / 1e12)
    assert deepbench_tops(cores, columns=1024) == pytest.approx(
        2 * 983_040 / (steps + 32) * 250e6 / 1e12
    )


@pytest.mark.parametrize(
    ("computed", "printed", "agreement"),
    [
        (67.522, "67.5", "rounded"),
        (3.25, "3.3", "rounded"),
        (54.098, "54.0", "truncated"),
        (1.486, "1.4", "truncated"),
        (1.1313, "1.12", "no"),
        (33.3, "54.0", "no"),
        (12.5, "", "not printed"),
    ],
)
def test_how_printed_digits_agree(computed: float, printed: str, agreement: str) -> None:
    assert PaperFigure("figure", computed, "", printed).agreement == agreement


def test_what_does_not_close_is_known() -> None:
    """A change of a model that moves a printed figure must change the page's last section too."""
    by_agreement: dict[str, set[str]] = {}
    for figure in FIGURES.values():
        by_agreement.setdefault(figure.agreement, set()).add(figure.name)
    assert by_agreement["truncated"] == {"streaming_tops", "cpu_gops_per_watt", "cpu_latency_tops"}
    assert by_agreement["no"] == {
        "table_1_total_one_bias",
        "table_2_layer1_without_padding",
        "gpu_latency_tops",
        "mau_latency_tops",
        "deepbench_27_cores_tops",
        "deepbench_30_cores_tops",
        "deepbench_33_cores_tops",
        "deepbench_33_cores_full_load_tops",
    }


# ---- the page -------------------------------------------------------------------------------


def test_every_figure_stands_on_the_page_once(page: str) -> None:
    names = [match[0] for match in ROW.findall(page)]
    assert sorted(names) == sorted(FIGURES)
    assert len(re.findall(r"^\| `", page, re.MULTILINE)) == len(names)  # no row escaped the pattern


def test_the_page_shows_what_the_functions_give(page: str) -> None:
    for name, computed, printed, agreement in ROW.findall(page):
        figure = FIGURES[name]
        assert computed == figure.shown, name
        assert printed == (figure.printed or "–"), name
        assert agreement == (figure.agreement if figure.printed else "–"), name


def test_the_sums_on_the_page_are_right(page: str) -> None:
    sums = re.findall(r"^    ([0-9,+x() ]+) = ([0-9,]+)(?: cycles)?$", page, re.MULTILINE)
    assert len(sums) == 2
    for left, right in sums:
        assert evaluate(left) == int(right.replace(",", ""))
    assert int(sums[-1][1].replace(",", "")) == FIGURES["latency_cycles"].computed


def test_the_two_definitions_of_table_5(page: str) -> None:
    (row,) = re.findall(r"^\| operations of a second .* \| (\S+) \| (\S+) \| (\S+) \|$", page, re.M)
    expected = (latency_tops("mau"), latency_tops("cpu"), latency_tops("gpu"))
    for shown, value in zip(row, expected, strict=True):
        digits = len(shown.partition(".")[2])
        assert float(shown) == round(value, digits)


def evaluate(text: str) -> int:
    """Sums and products of whole numbers."""
    operators = {ast.Add: operator.add, ast.Mult: operator.mul}

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.Constant):
            return int(node.value)  # type: ignore[arg-type] # a whole number by the pattern
        assert isinstance(node, ast.BinOp)
        return int(operators[type(node.op)](value(node.left), value(node.right)))

    return value(ast.parse(text.replace(",", "").replace("x", "*"), mode="eval").body)
