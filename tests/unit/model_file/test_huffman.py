from __future__ import annotations

import heapq
import itertools

import numpy as np
import pytest

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import huffman, limits
from sparsespeech.model_file.huffman import (
    BLOCK_SYMBOLS,
    CodedStream,
    canonical_codes,
    code_lengths,
    decode,
    encode,
)


def merged_cost(counts: list[int]) -> int:
    """Bits of the best code without a limit: Huffman's own construction with a heap."""
    heap = list(counts)
    heapq.heapify(heap)
    cost = 0
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        cost += both
        heapq.heappush(heap, both)
    return cost


def read_bit_by_bit(stream: CodedStream, count: int) -> list[int]:
    """``count`` symbols, one bit at a time, from the words of format.md."""
    order = sorted((int(length), symbol) for symbol, length in enumerate(stream.lengths) if length)
    book, code, before = {}, -1, 0
    for length, symbol in order:
        code = (code + 1) << (length - before)
        book[f"{code:0{length}b}"] = symbol
        before = length
    bits = iter("".join(f"{byte:08b}" for byte in stream.bits))
    found = []
    for _ in range(count):
        word = next(bits)
        while word not in book:
            word += next(bits)
        found.append(book[word])
    assert "1" not in "".join(bits)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_no_code_is_shorter_than_the_heap_says(seed: int) -> None:
    counts = np.random.default_rng(seed).integers(1, 1000, 60)
    assert int((counts * code_lengths(counts)).sum()) == merged_cost(counts.tolist())


def fibonacci(count: int) -> list[int]:
    """Counts whose best codes are as long as codes can be."""
    numbers = [1, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers


def test_the_longest_code_is_sixteen_bits() -> None:
    counts = np.array(fibonacci(40))
    lengths = code_lengths(counts)
    assert lengths.max() == 16
    assert (2.0 ** -lengths.astype(float)).sum() == 1
    assert (np.diff(lengths.astype(int)) <= 0).all()
    assert int((counts * lengths).sum()) > merged_cost(counts.tolist())


@pytest.mark.parametrize("longest", [3, 4, 5])
def test_a_limited_code_is_the_best_of_all(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huffman, "LONGEST_CODE", longest)
    counts = np.array(fibonacci(7))
    tried = np.array(list(itertools.product(range(1, longest + 1), repeat=7)))
    fitting = tried[(2.0**-tried).sum(axis=1) <= 1]
    lengths = code_lengths(counts)
    assert lengths.max() == longest
    assert int((counts * lengths).sum()) == (fitting * counts).sum(axis=1).min()


@pytest.mark.parametrize("counts", list(itertools.product(range(4), repeat=4)))
def test_lengths_of_four_symbols_by_brute_force(counts: tuple[int, ...]) -> None:
    lengths = code_lengths(np.array(counts))
    used = [count for count in counts if count]
    assert [bool(length) for length in lengths] == [bool(count) for count in counts]
    if len(used) > 1:
        best = min(
            sum(count * length for count, length in zip(used, tried, strict=True))
            for tried in itertools.product(range(1, 5), repeat=len(used))
            if sum(2.0**-length for length in tried) <= 1
        )
        assert int((np.array(counts) * lengths).sum()) == best


def lengths_by_the_book(counts: list[int]) -> list[int]:
    """The words of format.md, each package as the list of symbols in it."""
    singles = sorted((count, symbol) for symbol, count in enumerate(counts) if count)
    ranked = [(count, 0, [symbol]) for count, symbol in singles]  # 0: before packages in a tie
    merged = ranked
    for _ in range(15):
        packages = [
            (one[0] + other[0], 1, one[2] + other[2])
            for one, other in zip(merged[::2], merged[1::2], strict=False)
        ]
        merged = sorted(ranked + packages, key=lambda entry: entry[:2])  # stable
    inside = [symbol for entry in merged[: 2 * len(ranked) - 2] for symbol in entry[2]]
    return [inside.count(symbol) for symbol in range(len(counts))]


@pytest.mark.parametrize("seed", range(20))
def test_ties_are_broken_as_format_md_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, rng.integers(4, 12)) * rng.integers(1, 3)
    counts[:2] = 1
    assert code_lengths(counts).tolist() == lengths_by_the_book(counts.tolist())


def test_codes_of_the_standard_example() -> None:
    # RFC 1951, section 3.2.2: lengths of the symbols A to H and their codes.
    lengths = np.array([3, 3, 3, 3, 3, 2, 4, 4], dtype=np.uint8)
    codes = canonical_codes(lengths)
    written = [f"{code:0{length}b}" for code, length in zip(codes, lengths, strict=True)]
    assert written == ["010", "011", "100", "101", "110", "00", "1110", "1111"]


@pytest.mark.parametrize("count", [0, 1, 2, 1023, 1024, 1025, 2048, 5000])
@pytest.mark.parametrize("alphabet", [1, 2, 3, 40, 256])
def test_symbols_come_back(count: int, alphabet: int) -> None:
    symbols = np.random.default_rng(count).integers(0, alphabet, count)
    stream = encode(symbols, alphabet)
    assert stream.blocks.size == -(-count // BLOCK_SYMBOLS)
    assert decode("s", stream).tolist() == symbols.tolist()
    assert read_bit_by_bit(stream, count) == symbols.tolist()


def test_more_symbols_than_are_encoded_at_once() -> None:
    symbols = np.random.default_rng(1).geometric(0.3, 600_000).clip(1, 30) - 1
    stream = encode(symbols, 30)
    assert np.array_equal(decode("s", stream), symbols)
    assert 8 * stream.bits.size < merged_cost(np.bincount(symbols).tolist()) + 8


def test_alphabet_of_2_to_the_16() -> None:
    symbols = np.random.default_rng(2).permutation(2**16)
    stream = encode(symbols, 2**16)
    assert set(stream.lengths.tolist()) == {16}
    assert np.array_equal(decode("s", stream), symbols)


VALID = encode(np.arange(3000) % 7 % 5, 5)  # three blocks, five symbols


def changed(**parts: object) -> CodedStream:
    return VALID._replace(**{name: np.asarray(part) for name, part in parts.items()})  # type: ignore[arg-type]  # arrays of the right kinds


def with_entry(part: str, index: int, value: int) -> CodedStream:
    array = getattr(VALID, part).copy()
    array[index] = value
    return changed(**{part: array})


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (with_entry("lengths", 0, 17), r"'s_lengths': 5 codes of up to 17 bits.*F24"),
        (with_entry("lengths", 0, 1), r"'s_lengths': the code is over-subscribed.*F24"),
        (with_entry("lengths", 0, 0), r"'s_lengths': the code is incomplete.*F24"),
        (changed(lengths=np.array([2], np.uint8)), r"the code is incomplete.*F24"),
        (changed(lengths=np.ones(2**16 + 1, np.uint8)), r"65537 codes.*F24"),
        (changed(lengths=np.zeros(5, np.uint8)), r"'s_blocks': 3 blocks for 0 codes.*F25"),
        (changed(blocks=np.zeros(0, np.uint16)), r"'s_blocks': 0 blocks for 5 codes.*F25"),
        (with_entry("blocks", 1, 0), r"block 1 has 0 bits, must have 1 to 16384.*F25"),
        (with_entry("blocks", 1, 16385), r"block 1 has 16385 bits.*F25"),
        (
            changed(blocks=np.ones(limits.CODE_BLOCKS + 1, np.uint16)),
            r"262145 blocks, at most 262144.*F25",
        ),
        (changed(bits=VALID.bits[:-1]), r"'s_bits': holds \d+ bytes, the blocks have.*F25"),
        (changed(bits=np.append(VALID.bits, np.uint8(0))), r"'s_bits': holds \d+ bytes.*F25"),
        (with_entry("bits", 0, VALID.bits[0] ^ 0xFF), r"'s_(bits': block|lengths').*F25"),
        (with_entry("blocks", 0, int(VALID.blocks[0]) - 1), r"'s_bits': .*F25"),
    ],
)
def test_wrong_streams_have_their_error(stream: CodedStream, error: str) -> None:
    with pytest.raises(ModelFileError, match=error):
        decode("s", stream)


def test_bits_moved_between_blocks_are_refused() -> None:
    blocks = VALID.blocks.copy()
    blocks[0] += 1
    blocks[1] -= 1
    with pytest.raises(ModelFileError, match=r"block 0 is not 1024 codes.*F25"):
        decode("s", changed(blocks=blocks))


def test_a_last_block_of_too_many_codes_is_refused() -> None:
    # 1,025 codes of one bit in one block: more than a block may hold.
    half = encode(np.arange(1025) % 2, 2)
    joined = half._replace(blocks=np.array([1025], np.uint16))
    with pytest.raises(ModelFileError, match=r"block 0 is not 1024 codes.*F25"):
        decode("s", joined)
    alone = encode(np.zeros(1025, np.int64), 1)._replace(blocks=np.array([1025], np.uint16))
    with pytest.raises(ModelFileError, match=r"block 0 is not 1024 codes.*F25"):
        decode("s", alone)
    uneven = encode(np.zeros(1025, np.int64), 1)._replace(blocks=np.array([25, 1000], np.uint16))
    with pytest.raises(ModelFileError, match=r"is not 1024 codes.*F25"):
        decode("s", uneven)


def test_one_symbol_has_the_code_zero_only() -> None:
    stream = encode(np.zeros(9, np.int64), 1)
    with pytest.raises(ModelFileError, match=r"block 0 is not 1024 codes.*F25"):
        decode("s", stream._replace(bits=np.array([4, 0], np.uint8)))


def test_bits_after_the_last_code_are_refused() -> None:
    stream = encode(np.array([0, 1, 2]), 3)
    bits = stream.bits.copy()
    bits[-1] |= 1
    with pytest.raises(ModelFileError, match=r"bits follow the last code.*F25"):
        decode("s", stream._replace(bits=bits))


def test_a_last_code_that_runs_over_the_end_is_refused() -> None:
    # The codes are 0, 10 and 11. Without its last bit the stream ends in half a code, which the
    # zeros behind it would complete to the same symbols.
    stream = encode(np.array([0, 0, 0, 2, 1]), 3)
    assert (stream.blocks[0], f"{stream.bits[0]:08b}") == (7, "00011100")
    with pytest.raises(ModelFileError, match=r"block 0 is not 1024 codes.*F25"):
        decode("s", stream._replace(blocks=stream.blocks - np.uint16(1)))


def test_a_code_that_is_not_the_best_is_refused() -> None:
    # Four symbols, one of them far more frequent, in codes of two bits each.
    symbols = np.array([0] * 50 + [1, 2, 3])
    bits = np.packbits(np.stack((symbols >> 1 & 1, symbols & 1), axis=1).reshape(-1))
    stream = CodedStream(np.full(4, 2, np.uint8), np.array([106], np.uint16), bits.astype(np.uint8))
    assert read_bit_by_bit(stream, 53) == symbols.tolist()
    with pytest.raises(ModelFileError, match=r"not those of the best code.*F25"):
        decode("s", stream)
