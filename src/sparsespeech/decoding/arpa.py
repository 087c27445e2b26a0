r"""Read and write n-gram models in the ARPA text form of SRILM, KenLM and IRSTLM.

Axes: M n-grams of one order, n words of an n-gram. Values in a file are base-10 logarithms.

The reader takes plain or gzip files, tabs or spaces, sections in any order, missing back-off
weights and any text before ``\data\``. It works on blocks of lines, because a Python loop over
millions of lines would take half a minute.
"""

from __future__ import annotations

import gzip
import io
import itertools
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sparsespeech import atomic_file
from sparsespeech.errors import LanguageModelError

SENTENCE_START = "<s>"
SENTENCE_END = "</s>"
UNKNOWN = "<unk>"

HIGHEST_ORDER = 10
LOG10_ZERO = -99.0  # the customary logarithm of a probability of zero
_BLOCK_BYTES = 1 << 22
_WRITE_LINES = 100_000


@dataclass(frozen=True, eq=False)
class NgramTable:
    """All n-grams of one order; base-10 logarithms."""

    words: NDArray[np.int32]  # int32[M, n], indices into the vocabulary
    log10_probability: NDArray[np.float64]  # float64[M], at most 0
    log10_backoff: NDArray[np.float64]  # float64[M], 0 where the file states none


@dataclass(frozen=True, eq=False)
class NgramTables:
    """The content of an ARPA file: ``orders[n - 1]`` holds the n-grams of n words."""

    vocabulary: tuple[str, ...]
    orders: tuple[NgramTable, ...]


def read_arpa(path: Path) -> NgramTables:
    """Tables of an ARPA file, gzip or not.

    Raises LanguageModelError naming file and line for anything that is not a complete ARPA file.
    """
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
        stream = gzip.open(path, "rb") if compressed else path.open("rb", buffering=0)
        with io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20) as buffered:
            return _Reader(path, buffered).read()
    except (OSError, EOFError, zlib.error) as error:
        raise LanguageModelError(f"{path}: cannot read the language model: {error}") from None


def write_arpa(tables: NgramTables, path: Path) -> None:
    """Write ``tables`` atomically, compressed if ``path`` ends in ``.gz``."""
    blocks = ["\\data\\\n"]
    blocks += [
        f"ngram {order}={len(table.words)}\n" for order, table in enumerate(tables.orders, start=1)
    ]
    for order, table in enumerate(tables.orders, start=1):
        blocks.append(f"\n\\{order}-grams:\n")
        with_backoff = order < len(tables.orders)
        for first in range(0, len(table.words), _WRITE_LINES):
            block = slice(first, first + _WRITE_LINES)
            blocks.append(_format_block(tables.vocabulary, table, block, with_backoff))
    blocks.append("\n\\end\\\n")
    content = "".join(blocks).encode("utf-8")
    if path.suffix == ".gz":
        content = gzip.compress(content, compresslevel=6, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_bytes(path, content)


def _format_block(
    vocabulary: Sequence[str], table: NgramTable, block: slice, with_backoff: bool
) -> str:
    columns = [map(vocabulary.__getitem__, column.tolist()) for column in table.words[block].T]
    texts = map(" ".join, zip(*columns, strict=True))
    probabilities = table.log10_probability[block].tolist()
    if not with_backoff:
        return "".join(
            [
                f"{probability:.7g}\t{text}\n"
                for probability, text in zip(probabilities, texts, strict=True)
            ]
        )
    backoffs = table.log10_backoff[block].tolist()
    return "".join(
        [
            f"{probability:.7g}\t{text}\t{backoff:.7g}\n"
            for probability, text, backoff in zip(probabilities, texts, backoffs, strict=True)
        ]
    )


class _Vocabulary(dict[bytes, int]):
    """Gives each new word the next index."""

    def __missing__(self, word: bytes) -> int:
        self[word] = index = len(self)
        return index


class _Reader:
    """One pass over the lines of an ARPA file, with the current line number for messages."""

    def __init__(self, path: Path, stream: io.BufferedReader[io.RawIOBase]) -> None:
        self._path = path
        self._stream = stream
        self._line = 0
        self._pending: list[bytes] = []  # lines read ahead of the current section
        self._vocabulary = _Vocabulary()

    def read(self) -> NgramTables:
        counts = self._read_header()
        orders: dict[int, NgramTable] = {}
        while (order := self._next_section()) is not None:
            if order in orders:
                raise self._error(f"section \\{order}-grams: occurs twice")
            if order not in counts:
                raise self._error(f"section \\{order}-grams: is not announced in \\data\\")
            orders[order] = self._read_section(order)
            if len(orders[order].words) != counts[order]:
                raise self._error(
                    f"section \\{order}-grams: holds {len(orders[order].words)} "
                    f"n-grams, \\data\\ announces {counts[order]}"
                )
        missing = [order for order in counts if order not in orders and counts[order]]
        if missing:
            raise self._error(f"section \\{missing[0]}-grams: is missing")
        words = self._check_words(orders)
        return NgramTables(words, tuple(orders[order] for order in sorted(orders)))

    def _error(self, message: str, line: int | None = None) -> LanguageModelError:
        return LanguageModelError(f"{self._path}, line {line or self._line}: {message}")

    def _lines(self) -> list[bytes]:
        """The next block of lines, empty at the end of the file."""
        if self._pending:
            block, self._pending = self._pending, []
            return block
        return self._stream.readlines(_BLOCK_BYTES)

    def _next_line(self) -> bytes | None:
        block = self._lines()
        if not block:
            return None
        self._pending = block[1:]
        self._line += 1
        return block[0].strip()

    def _read_header(self) -> dict[int, int]:
        """Announced number of n-grams of each order."""
        while (line := self._next_line()) != b"\\data\\":
            if line is None:
                raise self._error("no \\data\\ section; expected an n-gram model in ARPA form")
            if line.lower().startswith(b"iarpa"):
                raise self._error(
                    "this is IRSTLM's iARPA form; convert it with 'compile-lm --text=yes IN OUT'"
                )
        counts: dict[int, int] = {}
        while (line := self._next_line()) is not None and not line.startswith(b"\\"):
            if not line:
                continue
            match = re.fullmatch(rb"ngram\s+(\d{1,2})\s*=\s*(\d{1,12})", line)
            if match is None:
                raise self._error(f"expected 'ngram N=COUNT', got {_shown(line)}")
            counts[int(match[1])] = int(match[2])
        if line is not None:  # the first section's title is read again
            self._pending.insert(0, line)
            self._line -= 1
        if sorted(counts) != list(range(1, len(counts) + 1)) or not counts:
            raise self._error(f"\\data\\ announces orders {sorted(counts)}, expected 1, 2, ...")
        if len(counts) > HIGHEST_ORDER:
            raise self._error(f"order {len(counts)} is above the limit of {HIGHEST_ORDER}")
        while not counts[len(counts)] and len(counts) > 1:  # an empty highest order
            counts.pop(len(counts))
        return counts

    def _next_section(self) -> int | None:
        r"""Order of the next ``\N-grams:`` title, None at ``\end\``."""
        while (line := self._next_line()) is not None:
            if line == b"\\end\\":
                return None
            match = re.fullmatch(rb"\\(\d{1,2})-grams:", line)
            if match is not None:
                return int(match[1])
            if line:
                raise self._error(f"expected '\\N-grams:' or '\\end\\', got {_shown(line)}")
        raise self._error("the file ends without \\end\\: it is incomplete")

    def _read_section(self, order: int) -> NgramTable:
        parts: list[NgramTable] = []
        ended = False
        while not ended and (block := self._lines()):
            title = next(
                (number for number, line in enumerate(block) if line.startswith(b"\\")), None
            )
            if title is not None:
                block, self._pending = block[:title], block[title:]
                ended = True
            parts.append(self._parse_block(block, order))
            self._line += len(block)
        return NgramTable(
            np.concatenate([part.words for part in parts] or [np.zeros((0, order), np.int32)]),
            np.concatenate([part.log10_probability for part in parts] or [np.zeros(0)]),
            np.concatenate([part.log10_backoff for part in parts] or [np.zeros(0)]),
        )

    def _parse_block(self, block: list[bytes], order: int) -> NgramTable:
        """Lines of ``probability word ... word [backoff]``; blank lines are skipped."""
        rows = [line for line in block if not line.isspace()]
        tokens, full = b"".join(rows).split(), order + 2
        if len(tokens) == len(rows) * (order + 1):  # no line has a back-off weight
            full = order + 1
        elif len(tokens) != len(rows) * full:  # some have
            tokens = self._padded_tokens(block, order)
        try:
            probability = np.array(list(map(float, tokens[0::full])), np.float64)
            backoff = (
                np.array(list(map(float, tokens[order + 1 :: full])), np.float64)
                if full > order + 1
                else np.zeros(len(rows))
            )
        except ValueError:
            raise self._locate(block, order) from None
        if not (probability <= 0).all() or not (backoff < np.inf).all():  # NaN fails too
            raise self._locate(block, order)
        index = self._vocabulary.__getitem__
        words = np.empty((len(rows), order), np.int32)
        for position in range(order):
            words[:, position] = list(map(index, tokens[1 + position :: full]))
        return NgramTable(
            words, np.maximum(probability, LOG10_ZERO), np.maximum(backoff, LOG10_ZERO)
        )

    def _padded_tokens(self, block: list[bytes], order: int) -> list[bytes]:
        """Tokens with a back-off weight on every line."""
        rows = [row for line in block if (row := line.split())]
        for row in rows:
            if len(row) == order + 1:
                row.append(b"0")
            elif len(row) != order + 2:
                raise self._locate(block, order)
        return list(itertools.chain.from_iterable(rows))

    def _locate(self, block: list[bytes], order: int) -> LanguageModelError:
        """The error of the first bad line of a block."""
        for number, line in enumerate(block, start=self._line + 1):
            row = line.split()
            if not row:
                continue
            if len(row) not in (order + 1, order + 2):
                return self._error(
                    f"expected a logarithm, {order} words and perhaps a back-off "
                    f"weight, got {len(row)} fields: {_shown(line)}",
                    number,
                )
            numbers = row[:1] + row[order + 1 :]
            for text, limit in zip(numbers, (0.0, np.inf), strict=False):
                try:
                    value = float(text)
                except ValueError:
                    return self._error(f"{_shown(text)} is not a number", number)
                if not value <= limit or value == np.inf:
                    return self._error(
                        f"{_shown(text)} is not a base-10 logarithm of a "
                        "probability or back-off weight",
                        number,
                    )
        return self._error(f"cannot parse the {order}-grams that follow")

    def _check_words(self, orders: dict[int, NgramTable]) -> tuple[str, ...]:
        """The vocabulary as text; every word of a longer n-gram must be a 1-gram too."""
        known = np.zeros(len(self._vocabulary), bool)
        known[orders[1].words[:, 0]] = True
        words = []
        for index, encoded in enumerate(self._vocabulary):
            if not known[index]:
                raise LanguageModelError(
                    f"{self._path}: {_shown(encoded)} occurs in longer "
                    "n-grams but is not among the 1-grams"
                )
            try:
                words.append(encoded.decode("utf-8"))
            except UnicodeDecodeError:
                raise LanguageModelError(
                    f"{self._path}: the word {encoded!r} is not UTF-8; convert the file with iconv"
                ) from None
        return tuple(words)


def _shown(text: bytes) -> str:
    return repr(text.strip()[:60].decode("utf-8", "replace"))
