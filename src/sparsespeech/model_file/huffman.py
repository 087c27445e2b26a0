"""Canonical Huffman codes of at most 16 bits, decoded for many blocks at once.

Axes: K symbols of an alphabet, N coded symbols, B blocks, L bits of the longest code.

The codes of a stream stand in blocks of 1,024, and the number of bits of each block is stored
(0.016 bits a symbol). So a reader without a compiler can decode: step s takes symbol s of every
block by one table look-up for all blocks together.

The lengths come from package-merge with fixed ties (:func:`code_lengths`), the codes from the
lengths, and the reader refuses lengths that the decoded symbols do not lead to: there is one way to
write a stream. A symbol takes one bit at least, so a stream of b bytes holds 8 b symbols at most.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import limits

IntegerArray = NDArray[np.integer[Any]]

BLOCK_SYMBOLS = 1024
LONGEST_CODE = 16  # bits; a table of 2^16 entries stays in the processor's cache
_WINDOW_BITS = 24  # three bytes from any bit position hold the longest code
_SYMBOLS_AT_ONCE = 256 * BLOCK_SYMBOLS  # are encoded; bounds the scratch memory
_LENGTH_FIELD = 5  # bits of a table entry that hold the length of the code, 1 to 16


class CodedStream(NamedTuple):
    """Lengths of the codes, bits of each block, and the codes one after the other."""

    lengths: NDArray[np.uint8]  # uint8[K], 0 for a symbol that does not occur
    blocks: NDArray[np.uint16]  # uint16[B]
    bits: NDArray[np.uint8]  # uint8[ceil(sum(blocks) / 8)], the first bit is the highest


def code_lengths(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Lengths uint8[K] of the best code of at most 16 bits for ``counts`` int64[K].

    Package-merge: fifteen times, neighbours in the sorted list are packed in pairs and merged with
    the single symbols. Symbols are sorted by count, then number; in a tie a single symbol comes
    before a package. A symbol with the count 0 gets 0 bits, one that is alone gets 1.
    """
    used = np.flatnonzero(counts)
    lengths = np.zeros(counts.size, dtype=np.uint8)
    if used.size <= 1:
        lengths[used] = 1
        return lengths
    sorted_symbols = used[np.argsort(counts[used], kind="stable")]
    weights = counts[sorted_symbols]
    merged = weights
    is_single = [np.ones(used.size, dtype=np.bool_)]
    for _ in range(LONGEST_CODE - 1):
        packages = merged[: merged.size // 2 * 2].reshape(-1, 2).sum(axis=1)
        both = np.concatenate((weights, packages))
        order = np.argsort(both, kind="stable")
        merged = both[order]
        is_single.append(order < used.size)
    taken = 2 * used.size - 2
    for single in reversed(is_single):
        singles = int(np.count_nonzero(single[:taken]))
        lengths[sorted_symbols[:singles]] += 1
        taken = 2 * (taken - singles)
    return lengths


def canonical_codes(lengths: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Codes int64[K] of ``lengths``: rising by length, then by symbol; 0 for an absent symbol."""
    order = _canonical_order(lengths)
    spans = np.int64(1) << (LONGEST_CODE - lengths[order].astype(np.int64))
    codes = np.zeros(lengths.size, dtype=np.int64)
    codes[order] = (np.cumsum(spans) - spans) >> (LONGEST_CODE - lengths[order].astype(np.int64))
    return codes


def encode(symbols: IntegerArray, alphabet: int) -> CodedStream:
    """The stream of ``symbols`` [N], each in 0..``alphabet`` - 1 (at most 2^16)."""
    lengths = code_lengths(np.bincount(symbols, minlength=alphabet).astype(np.int64))
    codes = canonical_codes(lengths)
    blocks = [np.zeros(0, dtype=np.int64)]
    bits = [np.zeros(0, dtype=np.uint8)]
    for first in range(0, symbols.size, _SYMBOLS_AT_ONCE):
        part = symbols[first : first + _SYMBOLS_AT_ONCE]
        sizes = lengths[part].astype(np.int64)
        blocks.append(np.add.reduceat(sizes, np.arange(0, part.size, BLOCK_SYMBOLS)))
        bits.append(_joined_codes(codes[part], sizes))
    return CodedStream(
        lengths, np.concatenate(blocks).astype(np.uint16), np.packbits(np.concatenate(bits))
    )


def decode(name: str, stream: CodedStream) -> NDArray[np.uint16]:
    """The symbols uint16[N] of the stream ``name``; inverse of :func:`encode`.

    Allocates at most 12 bytes a symbol, 16 a byte of the stream and 2^20 for tables. Raises
    ModelFileError (rules F24, F25) for anything but the one spelling of those symbols.
    """
    lengths = stream.lengths
    _prove_lengths(name, lengths)
    _prove_sizes(name, stream)
    if stream.blocks.size == 0:
        return np.zeros(0, dtype=np.uint16)
    if np.count_nonzero(lengths) == 1:
        symbols = _decode_one_symbol(name, stream)
    else:
        symbols = _decode_blocks(name, stream)
    counts = np.bincount(symbols, minlength=lengths.size).astype(np.int64)
    if (code_lengths(counts) != lengths).any():
        raise ModelFileError(
            f"tensor '{name}_lengths': are not those of the best code for what the stream holds "
            "(rule F25)"
        )
    return symbols


def _joined_codes(codes: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bits of ``codes``, one a byte, highest first."""
    ends = np.cumsum(sizes)
    starts = ends - sizes
    bits = np.zeros(int(ends[-1]), dtype=np.uint8)
    for place in range(int(sizes.max())):
        longer = sizes > place
        shift = sizes[longer] - 1 - place
        bits[starts[longer] + place] = (codes[longer] >> shift) & 1
    return bits


def _canonical_order(lengths: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Symbols that occur, by length, then number."""
    used = np.flatnonzero(lengths)
    return used[np.argsort(lengths[used], kind="stable")]


def _prove_lengths(name: str, lengths: NDArray[np.uint8]) -> None:
    """Rule F24: at most 16 bits, and the codes use up the code space exactly."""
    if lengths.size > 2**LONGEST_CODE or int(lengths.max(initial=0)) > LONGEST_CODE:
        raise ModelFileError(
            f"tensor '{name}_lengths': {lengths.size} codes of up to "
            f"{int(lengths.max(initial=0))} bits, at most {2**LONGEST_CODE} of {LONGEST_CODE} bits "
            "are allowed (rule F24)"
        )
    used = lengths[lengths > 0].astype(np.int64)
    space = int((np.int64(1) << (LONGEST_CODE - used)).sum())
    complete = space == 2**LONGEST_CODE if used.size > 1 else bool((used == 1).all())
    if not complete:
        flaw = "over-subscribed" if space > 2**LONGEST_CODE else "incomplete"
        raise ModelFileError(
            f"tensor '{name}_lengths': the code is {flaw}: {space} of {2**LONGEST_CODE} "
            "places are taken (rule F24)"
        )


def _prove_sizes(name: str, stream: CodedStream) -> None:
    """Rule F25: block sizes in range, as many bytes as they need, zeros after the last bit."""
    lengths, blocks, bits = stream
    if blocks.size > limits.CODE_BLOCKS:
        raise ModelFileError(
            f"tensor '{name}_blocks': {blocks.size} blocks, at most {limits.CODE_BLOCKS} are "
            "allowed (rule F25)"
        )
    if (blocks.size == 0) != (not lengths.any()):
        raise ModelFileError(
            f"tensor '{name}_blocks': {blocks.size} blocks for {np.count_nonzero(lengths)} "
            "codes (rule F25)"
        )
    largest = BLOCK_SYMBOLS * LONGEST_CODE
    wrong = np.flatnonzero((blocks == 0) | (blocks > largest))
    if wrong.size:
        raise ModelFileError(
            f"tensor '{name}_blocks': block {wrong[0]} has {blocks[wrong[0]]} bits, must have 1 to "
            f"{largest} (rule F25)"
        )
    if blocks.size > 1:
        # Every block but the last holds BLOCK_SYMBOLS codes; decoding reserves memory for them.
        used = lengths[lengths > 0].astype(np.int64)
        inner = blocks[:-1].astype(np.int64)
        wrong = np.flatnonzero(
            (inner < BLOCK_SYMBOLS * used.min()) | (inner > BLOCK_SYMBOLS * used.max())
        )
        if wrong.size:
            raise _not_codes(name, int(wrong[0]))
    total = int(blocks.sum(dtype=np.int64))
    if bits.size != -(-total // 8):
        raise ModelFileError(
            f"tensor '{name}_bits': holds {bits.size} bytes, the blocks have {total} bits "
            "(rule F25)"
        )
    if total % 8 and int(bits[-1]) & (0xFF >> total % 8):
        raise ModelFileError(f"tensor '{name}_bits': bits follow the last code (rule F25)")


def _decode_one_symbol(name: str, stream: CodedStream) -> NDArray[np.uint16]:
    """An alphabet of one symbol: a bit 0 for each."""
    if stream.bits.any() or (stream.blocks[:-1] != BLOCK_SYMBOLS).any():
        raise _not_codes(name, 0)
    if stream.blocks[-1] > BLOCK_SYMBOLS:
        raise _not_codes(name, stream.blocks.size - 1)
    count = int(stream.blocks.sum(dtype=np.int64))
    return np.full(count, np.flatnonzero(stream.lengths)[0], dtype=np.uint16)


def _decode_blocks(name: str, stream: CodedStream) -> NDArray[np.uint16]:
    """One symbol of each block a step; a block of its own may not run into the next."""
    table, longest = _decoding_table(stream.lengths)
    windows = _windows(stream.bits)
    ends = np.cumsum(stream.blocks, dtype=np.int64)
    position = ends - stream.blocks
    shortest = int(stream.lengths[stream.lengths > 0].min())
    steps = min(BLOCK_SYMBOLS, int(stream.blocks.max()) // shortest)
    symbols = np.empty((steps, ends.size), dtype=np.uint16)
    last_block = np.empty(steps, dtype=np.int64)  # where its codes end
    for step in range(steps):
        window = windows[position >> 3] >> (_WINDOW_BITS - longest - (position & 7)).astype(
            np.uint32
        )
        entry = table[window & np.uint32(2**longest - 1)]
        symbols[step] = entry >> _LENGTH_FIELD
        position += entry & (2**_LENGTH_FIELD - 1)
        last_block[step] = position[-1]
    last_count = int(np.searchsorted(last_block, ends[-1])) + 1  # past the end if it is not there
    if last_count > steps or last_block[last_count - 1] != ends[-1]:
        raise _not_codes(name, ends.size - 1)
    wrong = np.flatnonzero(position[:-1] != ends[:-1])
    if wrong.size or (ends.size > 1 and steps < BLOCK_SYMBOLS):
        raise _not_codes(name, int(wrong[0]) if wrong.size else 0)
    count = (ends.size - 1) * BLOCK_SYMBOLS + last_count
    return np.ascontiguousarray(symbols.T).reshape(-1)[:count]


def _decoding_table(lengths: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
    """By the next L bits: ``symbol << 5 | length``, int64[2^L]; and L."""
    order = _canonical_order(lengths)
    sizes = lengths[order].astype(np.int64)
    longest = int(sizes[-1])
    return np.repeat(order << _LENGTH_FIELD | sizes, 1 << (longest - sizes)), longest


def _windows(bits: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The 24 bits that start at each byte; zeros follow for wrong codes that run over the end."""
    beyond = BLOCK_SYMBOLS * LONGEST_CODE // 8
    padded = np.concatenate((bits, np.zeros(beyond + 3, dtype=np.uint8))).astype(np.uint32)
    return np.asarray(padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:])


def _not_codes(name: str, block: int) -> ModelFileError:
    return ModelFileError(
        f"tensor '{name}_bits': block {block} is not {BLOCK_SYMBOLS} codes (1 to {BLOCK_SYMBOLS} "
        "in the last block) of its bits (rule F25)"
    )
