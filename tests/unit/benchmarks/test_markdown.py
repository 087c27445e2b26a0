"""Tables in Markdown pages: between their comments, or in a new file, and never over other text."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsespeech.benchmarks import markdown
from sparsespeech.benchmarks.markdown import check_page, write_markdown
from sparsespeech.benchmarks.markdown_table import markdown_table, megabytes, with_interval
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.errors import BenchmarkError

PAGE = """# Title

<!-- bench accuracy -->
old
<!-- end of bench accuracy -->

The end.
"""


@pytest.fixture
def result(monkeypatch: pytest.MonkeyPatch) -> BenchResult:
    monkeypatch.setitem(markdown._TEXTS, "accuracy", lambda result: "| new |\n")
    return BenchResult("accuracy", {})


def test_only_what_stands_between_the_comments_changes(result: BenchResult, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for _ in range(2):
        check_page(page, "accuracy")
        write_markdown(result, page)
        assert page.read_text() == PAGE.replace("old", "| new |")


def test_a_new_file_holds_the_tables_alone(result: BenchResult, tmp_path: Path) -> None:
    page = tmp_path / "new.md"
    check_page(page, "accuracy")
    write_markdown(result, page)
    assert page.read_text() == "| new |\n"


@pytest.mark.parametrize(
    ("text", "bench"),
    [
        ("# A page of somebody\n", "accuracy"),
        (PAGE, "training"),
        ("<!-- end of bench accuracy -->\n<!-- bench accuracy -->\n", "accuracy"),
        (PAGE.replace("<!-- end", "<!-- END"), "accuracy"),
    ],
)
def test_a_page_without_the_comments_is_left_alone(
    text: str, bench: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(BenchmarkError, match=r"page\.md exists and does not hold <!-- bench"):
        check_page(page, bench)
    monkeypatch.setitem(markdown._TEXTS, bench, lambda result: "| new |\n")
    with pytest.raises(BenchmarkError, match=r"page\.md exists"):
        write_markdown(BenchResult(bench, {}), page)
    assert page.read_text() == text


def test_pages_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="there is no folder"):
        check_page(tmp_path / "absent" / "page.md", "accuracy")
    (tmp_path / "bytes.md").write_bytes(b"\xff\xfe")
    with pytest.raises(BenchmarkError, match="cannot read the page"):
        check_page(tmp_path / "bytes.md", "accuracy")
    with pytest.raises(BenchmarkError, match="bench latency has no Markdown form"):
        write_markdown(BenchResult("latency", {}), tmp_path / "x.md")


def test_tables_and_their_cells() -> None:
    assert (
        markdown_table(("a", "b"), [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n"
    )
    assert with_interval(1.234, -0.5, 2.0, 1) == "1.2 [-0.5, 2.0]"
    assert with_interval(1.234, -0.5, 2.0, 2, sign=True) == "+1.23 [-0.50, +2.00]"
    assert [megabytes(size) for size in (912_345, 35_000_000, 8_791_000)] == [
        "0.912 MB", "35 MB", "8.79 MB",
    ]  # fmt: skip
