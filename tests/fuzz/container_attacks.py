"""Hostile containers (rules F2 to F6): header, directory and digests."""

from __future__ import annotations

from typing import Any

from sparsespeech.model_file import limits
from sparsespeech.model_file.container import seal
from tests.fuzz.forged_files import (
    PLAIN,
    Attack,
    set_in,
    split,
    with_directory,
    with_header_text,
    with_header_words,
    with_manifest,
    with_manifest_text,
)

FOREIGN = (  # a plain safetensors file
    (64).to_bytes(8, "little")
    + b'{"x":{"dtype":"F32","shape":[50],"data_offsets":[0,200]}}'.ljust(64)
    + bytes(200)
)


def resized_header(length: int) -> bytes:
    """A file whose first 8 bytes declare ``length``."""
    return length.to_bytes(8, "little") + PLAIN[8:]


def swap_tensors(values: dict[str, Any]) -> None:
    """Exchange the first two tensors of the directory, offsets and all."""
    items = list(values.items())
    items[1], items[2] = items[2], items[1]
    values.clear()
    values.update(items)


def stretch(values: dict[str, Any]) -> None:
    """Give the second tensor 8 bytes less offset: it overlaps the first."""
    entry = list(values.values())[2]
    entry["data_offsets"] = [offset - 8 for offset in entry["data_offsets"]]


def poke_hole(values: dict[str, Any]) -> None:
    """Start the second tensor 8 bytes later."""
    entry = list(values.values())[2]
    entry["data_offsets"] = [offset + 8 for offset in entry["data_offsets"]]


CONTAINER_ATTACKS = {
    "empty": Attack(b"", r"no sparsespeech model file.*F3"),
    "seven bytes": Attack(PLAIN[:7], r"no sparsespeech model file.*F3"),
    "text": Attack(b"this is not a model file\n" * 20, r"no sparsespeech model file.*F3"),
    "header longer than file": Attack(resized_header(len(PLAIN)), r"header: declares.*F2"),
    "header of 2^63 bytes": Attack(resized_header(2**63), r"declares 9223372036854775808.*F2"),
    "header of 2^64 - 1 bytes": Attack(resized_header(2**64 - 1), r"header: declares.*F2"),
    "header of 0 bytes": Attack(resized_header(0), r"header: declares 0.*F2"),
    "header not a multiple of 8": Attack(resized_header(1001), r"length 1001 must be a mult.*F2"),
    "header above its cap": Attack(
        with_manifest(set_in("training", {"text": "x" * limits.HEADER_BYTES})),
        r"header: length \d+ must be.*at most 1048576.*F2",
    ),
    "padding of 8 spaces": Attack(
        with_header_text(lambda text: text + " " * (8 + -len(text.encode()) % 8)),
        r"padded with \d+ spaces.*F2",
    ),
    "plain safetensors": Attack(
        FOREIGN,
        r"no sparsespeech model file.*F3",
    ),
    "digest of another header": Attack(
        PLAIN[:42] + b"f" * 64 + PLAIN[106:], r"header: SHA-256 differs.*F3"
    ),
    "upper case digest": Attack(
        PLAIN[:42] + PLAIN[42:106].upper() + PLAIN[106:], r"header: SHA-256 differs.*F3"
    ),
    "digest with a tail": Attack(
        with_header_words('","manifest"', 'ff","manifest"'),
        r"__metadata__ must hold.*F3",
    ),
    "third metadata key": Attack(
        with_directory(set_in("__metadata__.note", "hello")), r"__metadata__ must hold.*F3"
    ),
    "manifest is no text": Attack(
        with_directory(set_in("__metadata__.manifest", {})), r"__metadata__ must hold.*F3"
    ),
    "header not UTF-8": Attack(
        seal(split(PLAIN)[0].encode().replace(b"layer1", b"layer\xff")) + split(PLAIN)[1],
        r"header: not UTF-8 at byte \d+ .*F4",
    ),
    "header cut in the middle": Attack(with_header_text(lambda text: text[:-40]), r"header: .*F4"),
    "duplicate tensor": Attack(
        with_header_text(
            lambda text: (
                text[:-1] + ',"input.mean":{"dtype":"F64","shape":[4],"data_offsets":[0,32]}}'
            )
        ),
        r"header: key 'input.mean' occurs twice.*F4",
    ),
    "duplicate metadata": Attack(
        with_header_text(lambda text: text[:-1] + ',"__metadata__":{}}'),
        r"key '__metadata__' occurs twice.*F4",
    ),
    "space in the header": Attack(
        with_header_words('"shape":', '"shape": '),
        r"header: is not canonical JSON.*F4",
    ),
    "line break in the header": Attack(
        with_header_text(lambda text: text[:-1] + "\n}"), r"header: is not canonical JSON.*F4"
    ),
    "escaped letter": Attack(
        with_header_words('"input.mean"', '"input.m\\u0065an"'),
        r"header: is not canonical JSON.*F4",
    ),
    "offset of 5000 digits": Attack(
        with_header_words("[0,", f"[{'9' * 5000},"),
        r"header: integer 9+\.\.\. is beyond.*F4",
    ),
    "tail behind the header's object": Attack(
        with_header_text(lambda text: text + "[]"), r"header: Extra data.*F4"
    ),
    "deep nesting in the header": Attack(
        with_header_text(lambda text: text[:-1] + ',"x":' + "[" * 400_000 + "]" * 400_000 + "}"),
        r"header: JSON nests deeper than 16.*F4",
    ),
    "overlapping tensors": Attack(with_directory(stretch), r"overlaps the tensor before it.*F5"),
    "hole between tensors": Attack(with_directory(poke_hole), r"leaves a hole.*F5"),
    "tensors out of order": Attack(with_directory(swap_tensors), r"begins at .*F5"),
    "names out of order": Attack(
        with_header_words('"input.deviation"', '"input.zeal"'),
        r"tensor 'input.mean': out of order.*F5",
    ),
    "unknown dtype": Attack(with_header_words('"F64"', '"F8_"'), r"dtype 'F8_'.*F5"),
    "dtype is a list": Attack(with_header_words('"F64"', '["F64"]'), r"dtype .*F5"),
    "huge shape": Attack(
        with_header_words('"shape":[4]', '"shape":[2147483648]'),
        r"takes 17179869184 bytes, data_offsets span 32.*F5",
    ),
    "huge shape and offsets": Attack(
        with_header_words(
            '"shape":[4],"data_offsets":[0,32]', '"shape":[134217728],"data_offsets":[0,1073741824]'
        ),
        r"ends at 1073741824, but \d+ bytes follow.*F5",
    ),
    "shape beyond its cap": Attack(
        with_header_words('"shape":[4]', '"shape":[9000000000]'),
        r"shape \[9000000000\] must be one or two counts.*F5",
    ),
    "negative shape": Attack(
        with_header_words('"shape":[4]', '"shape":[-4]'),
        r"shape \[-4\] must be one or two counts.*F5",
    ),
    "shape of true": Attack(
        with_header_words('"shape":[4]', '"shape":[true]'),
        r"shape \[True\] must be one or two counts.*F5",
    ),
    "shape of three axes": Attack(
        with_header_words('"shape":[4]', '"shape":[2,2,1]'),
        r"shape \[2, 2, 1\] must be one or two counts.*F5",
    ),
    "offsets reversed": Attack(with_header_words("[0,32]", "[32,0]"), r"data_offsets.*F5"),
    "entry without shape": Attack(
        with_header_words('"shape":[4],', ""),
        r"must be an object of dtype, shape, data_offsets.*F5",
    ),
    "entry is a number": Attack(
        with_header_text(lambda text: text[:-1] + ',"x":1}'), r"tensor 'x': must be an obj.*F5"
    ),
    "bytes after the tensors": Attack(PLAIN + b"\0", r"file: 1 bytes follow the last tensor.*F5"),
    "last byte missing": Attack(PLAIN[:-1], r"the file is cut short.*F5"),
    "changed tensor": Attack(
        PLAIN[:-1] + bytes([PLAIN[-1] ^ 1]), r"tensor '[a-z0-9_.]+': SHA-256 differs.*F6"
    ),
    "digest missing": Attack(
        with_manifest_text(lambda text: text.replace('"input.mean"', '"input.meal"')),
        r"'digests' must name each tensor.*F6",
    ),
    "digests are a list": Attack(
        with_manifest_text(lambda text: '{"digests":[]}'), r"'digests' must name each tensor.*F6"
    ),
}
