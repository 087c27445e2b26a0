"""Results of benchmarks as tables of a Markdown page, in a file of their own or inside a page.

In a page the text goes between two comments, which stay::

    <!-- bench accuracy -->
    <!-- end of bench accuracy -->
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sparsespeech import atomic_file
from sparsespeech.benchmarks.accelerator_markdown import ACCELERATOR_TEXTS
from sparsespeech.benchmarks.accuracy_markdown import accuracy_markdown
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.training_markdown import training_markdown
from sparsespeech.errors import BenchmarkError

_TEXTS: dict[str, Callable[[BenchResult], str]] = {
    "accuracy": accuracy_markdown,
    "training": training_markdown,
    **ACCELERATOR_TEXTS,
}


def to_markdown(result: BenchResult) -> str:
    """The tables of ``result`` for people; raises BenchmarkError for a bench without any."""
    if result.bench not in _TEXTS:
        raise BenchmarkError(f"bench {result.bench} has no Markdown form; {', '.join(_TEXTS)} have")
    return _TEXTS[result.bench](result)


def check_page(page: Path, bench: str) -> None:
    """Raise BenchmarkError where ``page`` cannot take the tables of ``bench``.

    A page that exists must hold both comments, so that no other text is ever overwritten.
    """
    if page.exists():
        _place(page, _read(page), bench)
    elif not page.parent.is_dir():
        raise BenchmarkError(f"{page}: there is no folder {page.parent}; create it first")


def write_markdown(result: BenchResult, page: Path) -> None:
    """Write the tables of ``result`` into ``page``, which :func:`check_page` has seen."""
    tables = to_markdown(result)
    if not page.exists():
        atomic_file.write_text(page, tables)
        return
    text = _read(page)
    start, end = _place(page, text, result.bench)
    atomic_file.write_text(page, f"{text[:start]}\n{tables}{text[end:]}")


def _place(page: Path, text: str, bench: str) -> tuple[int, int]:
    """Where the text between the comments starts and ends."""
    first, last = f"<!-- bench {bench} -->", f"<!-- end of bench {bench} -->"
    start = text.find(first)
    end = text.find(last, start + len(first)) if start >= 0 else -1
    if end < 0:
        raise BenchmarkError(
            f"{page} exists and does not hold {first} and after it {last}; "
            f"put both where the tables belong, or name a new file"
        )
    return start + len(first), end


def _read(page: Path) -> str:
    try:
        return page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{page}: cannot read the page: {error}") from None
