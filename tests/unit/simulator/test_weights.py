"""Images of weight memories that no core can execute, each refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.word_format import WordFields, encode_words
from sparsespeech.errors import ProgramFileError
from sparsespeech.simulator.weights import TaskWeights, execute_words

# Two windows of 8 columns, 4 lanes, 2 entries a word: a load cycle writes columns 0, 1 and 8, 9.
SMALL = replace(TARGETS["tiny"], window_columns=8)
LANE, WINDOW = 2, 1
Word = tuple[list[int], list[int], int, int]  # weights, indices, split, rows that end

END: Word = ([0, 0], [0, 0], 0, 1)
TWO_ENDS: Word = ([0, 0], [0, 0], 0, 2)


def image_of(words: list[Word], spare: int = 0) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Memory and word counts of one core: ``words`` in one stream, two empty rows in the others."""
    image = np.zeros((4, 2, max(2, len(words)) + spare), dtype=np.uint64)
    image[:, :, 0] = encoded([TWO_ENDS])[0]
    image[LANE, WINDOW, : len(words)] = encoded(words)
    counts = np.ones((4, 2), dtype=np.int32)
    counts[LANE, WINDOW] = len(words)
    return image, counts


def encoded(words: list[Word]) -> NDArray[np.uint64]:
    weight, index, split, ends = (np.array(part) for part in zip(*words, strict=True))
    return encode_words(WordFields(weight, index, split, ends), SMALL)


def executed(
    image: NDArray[np.uint64], counts: NDArray[np.int32], columns: int = 16
) -> TaskWeights:
    return execute_words(
        image,
        np.zeros_like(counts),
        counts,
        row_groups=2,
        columns=columns,
        config=SMALL,
        where="task 3 (layer1.weights, core 1)",
    )


def test_a_row_goes_on_until_it_ends_and_the_next_starts_behind_the_split() -> None:
    words: list[Word] = [([5, -6], [0, 3], 0, 0), ([7, 8], [6, 1], 1, 1), ([-9, 0], [2, 0], 0, 1)]
    with pytest.raises(ProgramFileError, match="word 2 holds a weight behind the last row"):
        executed(*image_of(words))
    words[2] = ([-9, 0], [2, 0], 1, 1)
    weights = executed(*image_of(words))
    # Row group * 4 + lane; window 1 begins at column 8.
    assert weights.row.tolist() == [2, 2, 2, 6, 6]
    assert weights.column.tolist() == [8, 11, 14, 9, 10]
    assert weights.weight.tolist() == [5, -6, 7, 8, -9]
    assert weights.row_end[LANE, WINDOW].tolist() == [1, 2]
    assert weights.row_end[0, 0].tolist() == [0, 0]


def test_two_rows_end_in_one_word() -> None:
    weights = executed(*image_of([([5, -6], [0, 0], 1, 2)]))
    assert weights.row.tolist() == [2, 6]
    assert weights.row_end[LANE, WINDOW].tolist() == [0, 0]


def test_a_narrow_task_has_narrow_windows() -> None:
    weights = executed(*image_of([([5, 6], [0, 3], 2, 2)]), columns=8)
    assert weights.column.tolist() == [4, 7]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([END], "1 rows end, the chain has 2 row groups"),
        ([TWO_ENDS, END], "3 rows end, the chain has 2 row groups"),
        ([END, END, ([0, 0], [0, 0], 0, 0)], "word 2 follows the end of the last row"),
        ([END, ([1, 2], [0, 1], 1, 1)], "word 1 holds a weight behind the last row"),
        ([END, ([0, 2], [3, 1], 2, 1)], "word 1 has an index without a weight at 0"),
        ([END, ([1, 2], [1, 1], 2, 1)], "word 1 names a column of its row a second time"),
        ([([1, 0], [7, 0], 1, 2)], "word 0 names a column that the task of 15 does not have"),
    ],
)
def test_an_image_that_breaks_a_rule_is_refused_by_lane_window_and_word(
    words: list[Word], error: str
) -> None:
    with pytest.raises(ProgramFileError) as caught:
        executed(*image_of(words), columns=15)
    message = str(caught.value)
    assert message.startswith(f"task 3 (layer1.weights, core 1): lane {LANE}, window {WINDOW}: ")
    assert error in message
    assert message.endswith("compile it again")


def test_an_index_outside_a_narrow_window_is_refused() -> None:
    with pytest.raises(ProgramFileError, match="word 0 names a column that the task of 8 does"):
        executed(*image_of([([5, 0], [4, 0], 1, 2)]), columns=8)


def test_bits_above_the_word_and_splits_above_its_entries_are_refused() -> None:
    image, counts = image_of([TWO_ENDS])
    image[LANE, WINDOW, 0] |= np.uint64(1 << SMALL.word_bits)
    with pytest.raises(ProgramFileError, match=f"word 0 has more than {SMALL.word_bits} bits"):
        executed(image, counts)
    image, counts = image_of([END, END])
    image[LANE, WINDOW, 1] |= np.uint64(3 << 2 * (8 + 3))
    with pytest.raises(ProgramFileError, match="word 1 has a split above 2"):
        executed(image, counts)


def test_words_outside_the_memory_are_refused() -> None:
    image, counts = image_of([TWO_ENDS])
    with pytest.raises(ProgramFileError, match=r"0 to 3, are not all in the image of 2 words"):
        executed(image, counts + 2)
    with pytest.raises(ProgramFileError, match=r"expected uint64\[4, 2, words\]"):
        executed(image[:3], counts)
    with pytest.raises(ProgramFileError, match=r"word_count \[4\] must be \[4, 2\]"):
        execute_words(
            image,
            counts,
            counts[:, 0],
            row_groups=2,
            columns=16,
            config=SMALL,
            where="task 3",
        )
