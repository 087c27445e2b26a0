"""Hostile Huffman-coded files (format version 2), each wrong in one way, with valid digests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.model_file import limits
from sparsespeech.model_file.codebook_encoding import CodedMatrix
from sparsespeech.model_file.huffman import BLOCK_SYMBOLS, CodedStream, encode
from sparsespeech.model_file.reader import decode_model
from sparsespeech.model_file.writer import encode_model
from tests.fuzz.forged_files import (
    MATRIX,
    PLAIN,
    Attack,
    Tensors,
    set_in,
    with_entry,
    with_manifest,
    with_tensor,
    with_tensors,
)

CODED = encode_model(replace(decode_model(PLAIN), encoding="huffman"))


def with_streams(coded: CodedMatrix, base: bytes = CODED) -> bytes:
    """``base`` with the streams of layer1's matrix [3, 12] replaced."""

    def change(tensors: Tensors) -> None:
        tensors[f"{MATRIX}.codebook"] = coded.codebook
        for word, stream in (("gap", coded.gaps), ("code", coded.codes)):
            for part, tensor in stream._asdict().items():
                tensors[f"{MATRIX}.{word}_{part}"] = tensor

    return with_tensors(change, base)


def streams(gaps: NDArray[Any], values: NDArray[Any]) -> CodedMatrix:
    """Any gap bytes and values, coded as they are."""
    codebook, codes = np.unique(values.astype(np.int8), return_inverse=True)
    coded_gaps = encode(gaps, int(gaps.max()) + 1)
    return CodedMatrix(coded_gaps, codebook, encode(codes, codebook.size))


def bits_flipped(tensors: Tensors) -> None:
    """Turn every code of a stream around."""
    tensors[f"{MATRIX}.gap_bits"] ^= 0xFF


def cut(name: str) -> Any:
    """A change that takes the last entry from a tensor."""
    return lambda tensors: tensors.update({name: tensors[name][:-1]})


# A million nonzeros in 250 kB: as many as a file of that size can declare.
BOMB = streams(np.zeros(2**20, np.int64), np.full(2**20, 7))
# Blocks that promise 2^28 codes, where the file holds next to none.
PROMISES = CodedStream(
    np.array([1], np.uint8),
    np.full(limits.CODE_BLOCKS, BLOCK_SYMBOLS, np.uint16),
    np.zeros(10, np.uint8),
)

CODED_ATTACKS = {
    "coded stream missing": Attack(
        with_tensors(lambda tensors: tensors.pop(f"{MATRIX}.code_bits"), CODED),
        r"'layer1.weights.code_bits': is missing.*F13",
    ),
    "coded file said to be plain": Attack(
        with_manifest(set_in("format_version", 1), CODED),
        r"'layer1.weights.row_nonzeros': is missing.*F13",
    ),
    "plain tensor in a coded file": Attack(
        with_tensor(f"{MATRIX}.values", np.zeros(3, np.int8), CODED),
        r"'layer1.weights.values': belongs to no layer.*F13",
    ),
    "codebook of int16": Attack(
        with_tensor(f"{MATRIX}.codebook", np.array([1], np.int16), CODED),
        r"'layer1.weights.codebook': is int16\[1\].*F13",
    ),
    "code of 17 bits": Attack(
        with_entry(f"{MATRIX}.code_lengths", 0, 17, CODED), r"of up to 17 bits.*F24"
    ),
    "code of 255 bits": Attack(
        with_entry(f"{MATRIX}.gap_lengths", 0, 255, CODED), r"of up to 255 bits.*F24"
    ),
    "over-subscribed code": Attack(
        with_entry(f"{MATRIX}.code_lengths", 0, 1, CODED), r"code is over-subscribed.*F24"
    ),
    "incomplete code": Attack(
        with_entry(f"{MATRIX}.gap_lengths", 0, 16, CODED), r"code is incomplete.*F24"
    ),
    "stream cut by a byte": Attack(
        with_tensors(cut(f"{MATRIX}.code_bits"), CODED), r"code_bits': holds \d+ bytes.*F25"
    ),
    "block missing": Attack(
        with_tensors(cut(f"{MATRIX}.gap_blocks"), CODED), r"gap_blocks': 0 blocks for.*F25"
    ),
    "block of 0 bits": Attack(
        with_entry(f"{MATRIX}.gap_blocks", 0, 0, CODED), r"block 0 has 0 bits.*F25"
    ),
    "block of 65,535 bits": Attack(
        with_entry(f"{MATRIX}.gap_blocks", 0, 65_535, CODED), r"block 0 has 65535 bits.*F25"
    ),
    "all bits of a stream turned": Attack(
        with_tensors(bits_flipped, CODED), r"layer1.weights.gap_.*F25"
    ),
    "promise of 2^28 codes": Attack(
        with_streams(BOMB._replace(gaps=PROMISES)), r"gap_bits': holds 10 bytes.*F25"
    ),
    "more blocks than their cap": Attack(
        with_tensor(f"{MATRIX}.gap_blocks", np.ones(limits.CODE_BLOCKS + 1, np.uint16), CODED),
        r"gap_blocks': 262145 blocks, at most 262144.*F25",
    ),
    "a million coded nonzeros": Attack(
        with_streams(BOMB), r"gap_bits': reaches place 1048575 of 36 in 3 rows.*F26"
    ),
    "a million coded escapes": Attack(
        with_streams(streams(np.append(np.full(10**6, 255), 0), np.full(1, 7))),
        r"gap_bits': reaches place 255000000 of 36.*F26",
    ),
    "column beyond the last row": Attack(
        with_streams(streams(np.array([36]), np.array([7]))), r"reaches place 36 of 36.*F26"
    ),
    "more codes than places": Attack(
        with_streams(streams(np.array([3, 1]), np.array([7, 8, 9]))),
        r"code_bits': holds 3 codes.*lands on 2.*F26",
    ),
    "escape at the end": Attack(
        with_streams(streams(np.array([3, 255]), np.array([7]))),
        r"gaps follow the last nonzero.*F26",
    ),
    "codebook that falls": Attack(
        with_tensors(
            lambda tensors: tensors.update(
                {f"{MATRIX}.codebook": tensors[f"{MATRIX}.codebook"][::-1].copy()}
            ),
            CODED,
        ),
        r"codebook': must rise strictly.*F26",
    ),
    "codebook with a value too many": Attack(
        with_tensor(f"{MATRIX}.codebook", np.arange(-128, 127, dtype=np.int8), CODED),
        r"must hold a code for each of the 255 values.*F26",
    ),
    "257 gap lengths": Attack(
        with_tensor(f"{MATRIX}.gap_lengths", np.full(257, 9, np.uint8), CODED),
        r"gap_lengths': holds 257 lengths.*F26",
    ),
    "coded weight 0": Attack(
        with_streams(streams(np.array([3, 1]), np.array([0, 8]))),
        r"'layer1.weights': row 0 stores a weight 0.*F15",
    ),
}
