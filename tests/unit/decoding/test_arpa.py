"""Reading ARPA files as other tools write them, refusing damaged ones, and writing."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.decoding.arpa import NgramTable, NgramTables, read_arpa, write_arpa
from sparsespeech.errors import LanguageModelError

SMALL = """\
\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-1.5\t<unk>
-99\t<s>\t-0.3
-0.8\t</s>
-0.6\tone\t-0.25
-0.7\ttwo\t-0.125

\\2-grams:
-0.2\t<s> one
-0.3\tone two
-0.4\ttwo </s>

\\end\\
"""


def write(folder: Path, content: str | bytes, name: str = "lm.arpa") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_dictionary(tables: NgramTables) -> dict[tuple[str, ...], tuple[float, float]]:
    """Words to (probability, back-off)."""
    return {
        tuple(tables.vocabulary[word] for word in words): (probability, backoff)
        for table in tables.orders
        for words, probability, backoff in zip(
            table.words.tolist(),
            table.log10_probability.tolist(),
            table.log10_backoff.tolist(),
            strict=True,
        )
    }


EXPECTED = {
    ("<unk>",): (-1.5, 0.0),
    ("<s>",): (-99.0, -0.3),
    ("</s>",): (-0.8, 0.0),
    ("one",): (-0.6, -0.25),
    ("two",): (-0.7, -0.125),
    ("<s>", "one"): (-0.2, 0.0),
    ("one", "two"): (-0.3, 0.0),
    ("two", "</s>"): (-0.4, 0.0),
}


def swapped_sections() -> str:
    head, rest = SMALL.split("\\1-grams:")
    first, second = rest.removesuffix("\\end\\\n").split("\\2-grams:")
    return f"{head}\\2-grams:{second}\\1-grams:{first}\\end\\\n"


@pytest.mark.parametrize(
    "content",
    [
        SMALL,
        gzip.compress(SMALL.encode()),
        SMALL.replace("\t", " "),
        SMALL.replace("\n", "\r\n"),
        SMALL.replace("\t<s>", "  <s> ").replace("-0.25", "-0.25   "),
        "# written by some tool\n\n" + SMALL,
        SMALL.replace("ngram 1=5", "ngram  1 = 5"),
        SMALL.replace("\ttwo\t-0.125", "\ttwo\t-0.125\n\n"),
        SMALL.replace("-99\t<s>", "-inf\t<s>"),
        SMALL.replace("one\n", "one\t0\n").replace("one two\n", "one two 0.0\n"),
        SMALL.replace("ngram 2=3", "ngram 2=3\nngram 3=0"),
        swapped_sections(),
        SMALL + "\n# the end\n",
    ],
    ids=["kenlm", "gzip", "spaces", "crlf", "padded", "preamble", "spaced-counts", "blank-lines",
         "minus-inf", "backoff-on-highest", "empty-order", "sections-swapped", "trailing-text"],
)  # fmt: skip
def test_dialects_read_the_same(tmp_path: Path, content: str | bytes) -> None:
    assert as_dictionary(read_arpa(write(tmp_path, content))) == EXPECTED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"no \\data\\ section"),
        ("hello\nworld\n", r"no \\data\\ section"),
        ("iARPA\n" + SMALL, r"line 1: .*iARPA.*compile-lm"),
        (SMALL.replace("ngram 2=3", "ngram two=3"), r"line 3: expected 'ngram N=COUNT'"),
        (SMALL.replace("ngram 2=3", "ngram 3=3"), r"announces orders \[1, 3\]"),
        (SMALL.replace("ngram 2=3", "ngram 2=4"), r"holds 3 n-grams.*announces 4"),
        (SMALL.replace("-0.6\tone", "-o.6\tone"), r"line 9: '-o.6' is not a number"),
        (SMALL.replace("-0.6\tone", "0.6\tone"), r"line 9: '0.6' is not a base-10 logarithm"),
        (SMALL.replace("-0.6\tone", "nan\tone"), r"line 9: 'nan'"),
        (SMALL.replace("-0.25", "inf"), r"line 9: 'inf'"),
        (SMALL.replace("one two", "one"), r"line 14: .*got 2 fields"),
        (SMALL.replace("one two", "one two three four"), r"line 14: .*got 5 fields"),
        (SMALL.replace("one two", "one three"), "'three' occurs in longer n-grams"),
        (SMALL.replace("\\2-grams:", "\\3-grams:"), r"3-grams: is not announced"),
        (SMALL.replace("\\2-grams:", "\\1-grams:"), r"1-grams: occurs twice"),
        (SMALL.replace("\\end\\\n", ""), r"without \\end\\"),
        (SMALL.partition("\\2-grams:")[0], r"without \\end\\"),
        (SMALL.partition("\\2-grams:")[0] + "\\end\\\n", r"2-grams: is missing"),
        (gzip.compress(SMALL.encode())[:-20], "cannot read the language model"),
        (b"\x1f\x8b" + b"nonsense" * 9, "cannot read the language model"),
        (SMALL.encode().replace(b"one", b"\xff\xfe"), "not UTF-8"),
        ("\\data\\\n" + "".join(f"ngram {n}=1\n" for n in range(1, 12)), "limit of 10"),
    ],
)
def test_damaged_files_are_refused_by_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(LanguageModelError, match=message) as caught:
        read_arpa(path)
    assert str(path) in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match="cannot read"):
        read_arpa(tmp_path / "absent.arpa")


def test_line_numbers_hold_beyond_the_first_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparsespeech.decoding.arpa._BLOCK_BYTES", 64)
    broken = SMALL.replace("-0.4\ttwo", "x\ttwo")
    with pytest.raises(LanguageModelError, match="line 15: 'x'"):
        read_arpa(write(tmp_path, broken))
    assert as_dictionary(read_arpa(write(tmp_path, SMALL))) == EXPECTED


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_written_files_read_back(tmp_path: Path, name: str) -> None:
    tables = NgramTables(
        ("<s>", "naïve", "b"),
        (
            NgramTable(
                np.array([[0], [1], [2]], np.int32),
                np.array([-99.0, -0.123456789, -2.0]),
                np.array([-0.5, 0.0, 0.25]),
            ),
            NgramTable(np.array([[0, 1]], np.int32), np.array([-0.75]), np.zeros(1)),
        ),
    )
    path = tmp_path / "deep" / name
    write_arpa(tables, path)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    again = as_dictionary(read_arpa(path))
    assert again.keys() == as_dictionary(tables).keys()
    for words, values in as_dictionary(tables).items():
        assert again[words] == pytest.approx(values, abs=1e-6)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, SMALL)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_arpa(read_arpa(path), path)
    assert path.read_text() == SMALL
    assert list(tmp_path.iterdir()) == [path]
