"""Hostile model files, each wrong in one way, with valid digests wherever the attack allows.

An attack is built by taking a valid file apart, changing one thing and sealing it again, so that
the rule it aims at is really reached. ``ATTACKS`` maps a name to the file's bytes and to a
regular expression for the one error the reader must give.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsespeech.model_file import limits
from sparsespeech.model_file.container import Container, parse, seal, serialise
from sparsespeech.model_file.writer import encode_model
from tests.random_models import random_integer_model

Tensors = dict[str, NDArray[Any]]


class Attack(NamedTuple):
    """Bytes of a file and a pattern of its error."""

    content: bytes
    error: str


def small_file(**kind: Any) -> bytes:
    """A valid file of about 12 kB; ``kind`` as for ``random_integer_model``."""
    rng = np.random.default_rng(7)
    settings = {"hidden": 3, "coefficients": 4, "context": 1, "labels": 5, "sparsity": 0.4}
    return encode_model(random_integer_model(rng, **(settings | kind)))


PLAIN = small_file()
PROJECTED = small_file(projection=2, peephole=True, per_row=True)
WIDE = small_file(wide=True)
CONVOLVED = small_file(convolution=True)


# ---- ways to change one thing ----------------------------------------------------------------


def with_manifest(change: Callable[[dict[str, Any]], object], base: bytes = PLAIN) -> bytes:
    """``base`` with its manifest changed in place, digests made anew."""
    manifest, tensors = parse(base)
    manifest = copy.deepcopy(manifest)
    change(manifest)
    return serialise(Container(manifest, tensors))


def with_tensors(change: Callable[[Tensors], object], base: bytes = PLAIN) -> bytes:
    """``base`` with its dictionary of writable tensors changed in place, digests made anew."""
    manifest, tensors = parse(base)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}
    change(tensors)
    return serialise(Container(manifest, tensors))


def with_entry(name: str, index: Any, value: Any, base: bytes = PLAIN) -> bytes:
    """``base`` with one entry of one tensor set."""
    return with_tensors(lambda tensors: tensors[name].__setitem__(index, value), base)


def with_tensor(name: str, tensor: NDArray[Any], base: bytes = PLAIN) -> bytes:
    """``base`` with one tensor replaced or added."""
    return with_tensors(lambda tensors: tensors.__setitem__(name, tensor), base)


def split(content: bytes) -> tuple[str, bytes]:
    """Header text without padding, and the tensors' bytes."""
    end = 8 + int.from_bytes(content[:8], "little")
    return content[8:end].decode().rstrip(), content[end:]


def with_header_text(change: Callable[[str], str], base: bytes = PLAIN) -> bytes:
    """``base`` with its header text rewritten and sealed."""
    header, buffer = split(base)
    return seal(change(header).encode()) + buffer


def with_directory(change: Callable[[dict[str, Any]], object], base: bytes = PLAIN) -> bytes:
    """``base`` with the header's JSON object changed in place; manifest and tensors untouched."""
    header, buffer = split(base)
    values = json.loads(header)
    change(values)
    return seal(json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()) + buffer


def with_manifest_text(change: Callable[[str], str], base: bytes = PLAIN) -> bytes:
    """``base`` with the text of its manifest rewritten."""

    def rewrite(values: dict[str, Any]) -> None:
        values["__metadata__"]["manifest"] = change(values["__metadata__"]["manifest"])

    return with_directory(rewrite, base)


def resized_header(length: int) -> bytes:
    """A file whose first 8 bytes declare ``length``."""
    return length.to_bytes(8, "little") + PLAIN[8:]


def set_in(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that sets the entry at a dotted ``path`` of a JSON object."""
    *parents, last = [int(word) if word.isdigit() else word for word in path.split(".")]

    def change(values: Any) -> None:
        for word in parents:
            values = values[word]
        values[last] = value

    return change


def remove(name: str) -> Callable[[dict[str, Any]], object]:
    """A change that takes one key out of a dictionary."""
    return lambda values: values.pop(name)


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


def huge_matrix(values: dict[str, Any]) -> None:
    """Widths at their caps in the graph, tensors as they are."""
    values["graph"][0]["outputs"] = limits.ROWS
    values["graph"][1]["inputs"] = limits.ROWS


def nested(depth: int) -> dict[str, Any]:
    """JSON objects inside each other."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


# ---- the attacks -----------------------------------------------------------------------------

MATRIX = "layer1.weights"
SHORT_GAPS = parse(PLAIN).tensors[f"{MATRIX}.gaps"][:-1]
GATES = "layer3.forward.input_requantize"

FOREIGN = (  # a plain safetensors file
    (64).to_bytes(8, "little")
    + b'{"x":{"dtype":"F32","shape":[50],"data_offsets":[0,200]}}'.ljust(64)
    + bytes(200)
)

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
        with_header_text(lambda text: text.replace('","manifest"', 'ff","manifest"', 1)),
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
        with_header_text(lambda text: text.replace('"shape":', '"shape": ', 1)),
        r"header: is not canonical JSON.*F4",
    ),
    "line break in the header": Attack(
        with_header_text(lambda text: text[:-1] + "\n}"), r"header: is not canonical JSON.*F4"
    ),
    "escaped letter": Attack(
        with_header_text(lambda text: text.replace('"input.mean"', '"input.m\\u0065an"', 1)),
        r"header: is not canonical JSON.*F4",
    ),
    "offset of 5000 digits": Attack(
        with_header_text(lambda text: text.replace("[0,", f"[{'9' * 5000},", 1)),
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
        with_header_text(lambda text: text.replace('"input.deviation"', '"input.zeal"', 1)),
        r"tensor 'input.mean': out of order.*F5",
    ),
    "unknown dtype": Attack(
        with_header_text(lambda text: text.replace('"F64"', '"F8_"', 1)), r"dtype 'F8_'.*F5"
    ),
    "dtype is a list": Attack(
        with_header_text(lambda text: text.replace('"F64"', '["F64"]', 1)), r"dtype .*F5"
    ),
    "huge shape": Attack(
        with_header_text(lambda text: text.replace('"shape":[4]', '"shape":[2147483648]', 1)),
        r"takes 17179869184 bytes, data_offsets span 32.*F5",
    ),
    "huge shape and offsets": Attack(
        with_header_text(
            lambda text: text.replace(
                '"shape":[4],"data_offsets":[0,32]',
                '"shape":[134217728],"data_offsets":[0,1073741824]',
                1,
            )
        ),
        r"ends at 1073741824, but \d+ bytes follow.*F5",
    ),
    "shape beyond its cap": Attack(
        with_header_text(lambda text: text.replace('"shape":[4]', '"shape":[9000000000]', 1)),
        r"shape \[9000000000\] must be one or two counts.*F5",
    ),
    "negative shape": Attack(
        with_header_text(lambda text: text.replace('"shape":[4]', '"shape":[-4]', 1)),
        r"shape \[-4\] must be one or two counts.*F5",
    ),
    "shape of true": Attack(
        with_header_text(lambda text: text.replace('"shape":[4]', '"shape":[true]', 1)),
        r"shape \[True\] must be one or two counts.*F5",
    ),
    "shape of three axes": Attack(
        with_header_text(lambda text: text.replace('"shape":[4]', '"shape":[2,2,1]', 1)),
        r"shape \[2, 2, 1\] must be one or two counts.*F5",
    ),
    "offsets reversed": Attack(
        with_header_text(lambda text: text.replace("[0,32]", "[32,0]", 1)), r"data_offsets.*F5"
    ),
    "entry without shape": Attack(
        with_header_text(lambda text: text.replace('"shape":[4],', "", 1)),
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

MANIFEST_ATTACKS = {
    "manifest is a list": Attack(
        with_manifest_text(lambda _: "[]"), r"manifest: must be a JSON object.*F4"
    ),
    "manifest is empty": Attack(with_manifest_text(lambda _: ""), r"manifest: Expecting value.*F4"),
    "NaN in JSON": Attack(
        with_manifest_text(lambda text: text.replace("12.5", "NaN")), r"manifest: NaN is not.*F4"
    ),
    "infinity in JSON": Attack(
        with_manifest_text(lambda text: text.replace("12.5", "1e999")), r"manifest: .*F4"
    ),
    "float spelled long": Attack(
        with_manifest_text(lambda text: text.replace("12.5", "12.50")),
        r"manifest: is not canonical JSON.*F4",
    ),
    "integer of 400 digits": Attack(
        with_manifest_text(lambda text: text.replace("16000", "1" * 400)),
        r"manifest: integer 1+\.\.\. is beyond.*F4",
    ),
    "keys not sorted": Attack(
        with_manifest_text(lambda text: '{"z":1,' + text[1:]), r"manifest: is not canonical.*F4"
    ),
    "duplicate key": Attack(
        with_manifest_text(lambda text: '{"alphabet":[],' + text[1:]),
        r"manifest: key 'alphabet' occurs twice.*F4",
    ),
    "lone surrogate": Attack(
        with_manifest_text(lambda text: text.replace("random", "\\ud800")), r"manifest: .*F4"
    ),
    "training nests 17 deep": Attack(
        with_manifest_text(lambda text: text.replace('"random"', "[" * 17 + "]" * 17)),
        r"manifest: JSON nests deeper than 16.*F4",
    ),
    "training nests 100,000 deep": Attack(
        with_manifest_text(lambda text: text.replace('"random"', "[" * 100_000 + "]" * 100_000)),
        r"manifest: JSON nests deeper than 16.*F4",
    ),
    "another format": Attack(
        with_manifest(set_in("format", "gguf")), r"'format' must be .*, got 'gguf'.*F7"
    ),
    "unknown format version": Attack(
        with_manifest(set_in("format_version", 3)), r"format_version 3 is unknown.*upgrade.*F7"
    ),
    "format version of a coded file": Attack(
        with_manifest(set_in("format_version", 2)), r"'layer1.weights.gap_lengths': is missing.*F13"
    ),
    "format version is a list": Attack(
        with_manifest(set_in("format_version", [])), r"format_version \[\] is unknown.*F7"
    ),
    "format version true": Attack(
        with_manifest(set_in("format_version", True)), r"'format_version' must be of type int.*F7"
    ),
    "extra key": Attack(with_manifest(set_in("author", "x")), r"manifest: keys must be.*F7"),
    "missing key": Attack(with_manifest(remove("training")), r"manifest: keys must be.*F7"),
    "graph is an object": Attack(with_manifest(set_in("graph", {})), r"'graph' must be of.*F7"),
    "no layers": Attack(with_manifest(set_in("graph", [])), r"graph: must hold 1 to 64.*F8"),
    "65 layers": Attack(
        with_manifest(lambda values: values["graph"].extend(values["graph"] * 12)),
        r"graph: must hold 1 to 64 layers, got 65.*F8",
    ),
    "unknown layer kind": Attack(
        with_manifest(set_in("graph.0.kind", "gru")), r"graph layer 0: kind 'gru' is unknown.*F8"
    ),
    "layer kind is a list": Attack(
        with_manifest(set_in("graph.0.kind", [])), r"graph layer 0: must be an object with.*F8"
    ),
    "layer without width": Attack(
        with_manifest(lambda values: values["graph"][0].pop("inputs")),
        r"graph layer 0: keys must be.*F8",
    ),
    "width is a float": Attack(
        with_manifest(set_in("graph.0.outputs", 3.0)), r"'outputs' must be of type integer.*F8"
    ),
    "width 0": Attack(
        with_manifest(set_in("graph.0.outputs", 0)), r"'layer1': outputs is 0, must be 1 to.*F8"
    ),
    "negative width": Attack(
        with_manifest(set_in("graph.0.inputs", -12)), r"'layer1': inputs is -12, must be 1 to.*F8"
    ),
    "width beyond its cap": Attack(
        with_manifest(set_in("graph.0.outputs", 2**40)), r"outputs is 1099511627776, must be.*F8"
    ),
    "huge matrix declared": Attack(
        with_manifest(huge_matrix), r"'layer2': inputs is 262144, must be 1 to 65535.*F8"
    ),
    "huge LSTM declared": Attack(
        with_manifest(set_in("graph.2.cells", 65_535)), r"'layer4': takes 6 inputs.*131070.*F8"
    ),
    "widths do not chain": Attack(
        with_manifest(set_in("graph.1.inputs", 4)), r"'layer2': takes 4 inputs, the .* 3 .*F8"
    ),
    "features do not fit": Attack(
        with_manifest(set_in("features.context", 2)), r"'layer1': takes 12 inputs.* 20 .*F8"
    ),
    "output layer in the middle": Attack(
        with_manifest(
            lambda values: values["graph"].insert(
                0, {"kind": "output", "name": "early", "inputs": 12, "outputs": 12}
            )
        ),
        r"'early': the last layer, and no other, must be of kind output.*F8",
    ),
    "no output layer": Attack(
        with_manifest(lambda values: values["graph"].pop()), r"'layer4': the last layer.*F8"
    ),
    "layer name with a path": Attack(
        with_manifest(set_in("graph.0.name", "../../etc/passwd")), r"layer name '\.\./.*F8"
    ),
    "layer name with a line break": Attack(
        with_manifest(set_in("graph.0.name", "a\nb")), r"layer name 'a\\nb' must be.*F8"
    ),
    "layer name reserved": Attack(
        with_manifest(set_in("graph.0.name", "tables")), r"layer name 'tables' must be.*F8"
    ),
    "layer name twice": Attack(
        with_manifest(set_in("graph.1.name", "layer1")), r"layer name 'layer1' must be uni.*F8"
    ),
    "layer name of 2,000 letters": Attack(
        with_manifest(set_in("graph.0.name", "a" * 2000)), r"layer name 'a{76}\.\.\. must be.*F8"
    ),
    "merge unknown": Attack(
        with_manifest(set_in("graph.2.merge", "mean")), r"merge 'mean' must be.*F8"
    ),
    "projection 0": Attack(
        with_manifest(set_in("graph.2.projection", 0), PROJECTED), r"projection is 0, must.*F8"
    ),
    "clip 0": Attack(with_manifest(set_in("graph.0.clip", 0.0)), r"'layer1': clip is 0.0.*F8"),
    "clip 1e300": Attack(with_manifest(set_in("graph.0.clip", 1e300)), r"clip is 1e\+300.*F8"),
    "clip is a text": Attack(
        with_manifest(set_in("graph.0.clip", "20")), r"'clip' must be of type number.*F8"
    ),
    "kernel of three": Attack(
        with_manifest(set_in("graph.0.kernel", [1, 2, 3]), CONVOLVED), r"'kernel' must be.*F8"
    ),
    "kernel of 256": Attack(
        with_manifest(set_in("graph.0.kernel", [3, 256]), CONVOLVED), r"kernel is 256, must.*F8"
    ),
    "stride 0": Attack(
        with_manifest(set_in("graph.0.stride", [0, 1]), CONVOLVED), r"stride is 0, must be.*F8"
    ),
    "negative padding": Attack(
        with_manifest(set_in("graph.0.padding", [-1, 0]), CONVOLVED), r"padding is -1, must.*F8"
    ),
    "kernel wider than the map": Attack(
        with_manifest(set_in("graph.0.kernel", [3, 9]), CONVOLVED), r"output bins is 0, must.*F8"
    ),
    "channels do not divide": Attack(
        with_manifest(set_in("graph.0.input_channels", 5), CONVOLVED),
        r"5 input channels do not divide the 12 values.*F8",
    ),
    "patch beyond its cap": Attack(
        with_manifest(
            lambda values: values["graph"][0].update(input_channels=12, kernel=[255, 255]),
            CONVOLVED,
        ),
        r"patch is 780300, must be 1 to 65535.*F8",
    ),
    "classes do not fit the alphabet": Attack(
        with_manifest(set_in("alphabet", ["a", "b"])), r"'layer5': has 6 outputs, expected 2 .*F8"
    ),
    "no symbols": Attack(with_manifest(set_in("alphabet", [])), r"alphabet: must hold 1 to.*F9"),
    "symbol is a number": Attack(
        with_manifest(set_in("alphabet.0", 1)), r"alphabet: every symbol must be a text.*F9"
    ),
    "symbol twice": Attack(
        with_manifest(set_in("alphabet.0", "a")), r"alphabet: a symbol occurs twice.*F9"
    ),
    "empty symbol": Attack(with_manifest(set_in("alphabet.0", "")), r"alphabet: symbol ''.*F9"),
    "symbol that clears a terminal": Attack(
        with_manifest(set_in("alphabet.0", "\x1b[2J")), r"alphabet: symbol '\\x1b\[2J'.*F9"
    ),
    "symbol of 17 letters": Attack(
        with_manifest(set_in("alphabet.0", "x" * 17)), r"alphabet: symbol 'x{17}'.*F9"
    ),
    "feature constant missing": Attack(
        with_manifest(lambda values: values["features"].pop("stride")), r"features must be.*F10"
    ),
    "feature constant mistyped": Attack(
        with_manifest(set_in("features.stride", "320")), r"feature constant stride.*F10"
    ),
    "feature window of 2^50 samples": Attack(
        with_manifest(set_in("features.fft_length", 2**50)), r"feature constants break.*F10"
    ),
    "sample rate 0": Attack(
        with_manifest(set_in("features.sample_rate_hz", 0)), r"feature constants break.*F10"
    ),
    "another front end": Attack(
        with_manifest(set_in("features.kind", "spectrogram")), r"features must be kind 'mfcc'.*F10"
    ),
    "activation bits 12": Attack(
        with_manifest(set_in("quantization.activation_bits", 12)), r"must be 8 or 16, got 12.*F11"
    ),
    "quantization without bits": Attack(
        with_manifest(lambda values: values["quantization"].pop("activation_bits")),
        r"quantization: keys must be.*F11",
    ),
    "zero point is a float": Attack(
        with_manifest(set_in("quantization.input_zero_point", 1.5)),
        r"'input_zero_point' must be of type integer.*F11",
    ),
    "clamp of a layer missing": Attack(
        with_manifest(lambda values: values["quantization"]["layers"].pop("layer1")),
        r"'layers' must name.*F11",
    ),
    "clamp of no layer": Attack(
        with_manifest(set_in("quantization.layers.layer9", {})), r"'layers' must name.*F11"
    ),
    "clamp is a list": Attack(
        with_manifest(set_in("quantization.layers.layer1", [])),
        r"quantization of 'layer1': must be an object.*F11",
    ),
    "clamp without low": Attack(
        with_manifest(lambda values: values["quantization"]["layers"]["layer1"].pop("low")),
        r"quantization of 'layer1': keys must be.*F11",
    ),
    "training is a list": Attack(
        with_manifest(set_in("training", [1])), r"training: must be an object or null.*F12"
    ),
    "facts are a text": Attack(
        with_manifest(set_in("quantization.facts", "x")), r"facts: must be an object.*F12"
    ),
}

TENSOR_ATTACKS = {
    "missing tensor": Attack(
        with_tensors(remove("layer1.bias")), r"tensor 'layer1.bias': is missing.*F13"
    ),
    "extra tensor": Attack(
        with_tensor("layer1.extra", np.zeros(3, np.int8)),
        r"tensor 'layer1.extra': belongs to no layer.*F13",
    ),
    "tensor named like a path": Attack(
        with_tensor("../../etc/passwd", np.zeros(3, np.int8)), r"tensor '\.\./.*F13"
    ),
    "wrong dtype": Attack(
        with_tensors(lambda t: t.update({"layer1.bias": t["layer1.bias"].astype(np.int64)})),
        r"'layer1.bias': is int64\[3\], the graph needs int32\[3\].*F13",
    ),
    "float bias": Attack(
        with_tensors(lambda t: t.update({"layer1.bias": t["layer1.bias"].astype(np.float32)})),
        r"'layer1.bias': is float32\[3\].*F13",
    ),
    "bias too long": Attack(
        with_tensor("layer1.bias", np.zeros(4, np.int32)), r"'layer1.bias': is int32\[4\].*F13"
    ),
    "bias with two axes": Attack(
        with_tensor("layer1.bias", np.zeros((3, 1), np.int32)), r"is int32\[3, 1\].*F13"
    ),
    "row count mismatch": Attack(
        with_tensor(f"{MATRIX}.row_nonzeros", np.zeros(2, np.uint16)), r"is uint16\[2\].*F13"
    ),
    "graph has more rows than tensors": Attack(
        with_manifest(
            lambda values: (
                set_in("graph.0.outputs", 60_000)(values),
                set_in("graph.1.inputs", 60_000)(values),
            )
        ),
        r"row_nonzeros': is uint16\[3\], the graph needs uint16\[60000\].*F13",
    ),
    "three multipliers for two rows": Attack(
        with_tensor("layer1.requantize.multiplier", np.full(2, 40000, np.uint16)),
        r"needs uint16\[3\] or \[1\].*F13",
    ),
    "shifts and multipliers differ in number": Attack(
        with_tensor("layer1.requantize.shift", np.full(3, 20, np.uint8)), r"is uint8\[3\].*F13"
    ),
    "tables too short": Attack(
        with_tensor("tables.sigmoid_base", np.zeros(64, np.int16)), r"is int16\[64\].*F13"
    ),
    "8-bit tables in wide mode": Attack(
        with_tensor("tables.sigmoid_base", parse(PLAIN).tensors["tables.sigmoid_base"], WIDE),
        r"is int16\[65\], the graph needs int16\[513\].*F13",
    ),
    "wide mode with 8-bit tensors": Attack(
        with_manifest(set_in("quantization.activation_bits", 16)), r"the graph needs.*F13"
    ),
    "backward direction missing": Attack(
        with_tensors(
            lambda t: [t.pop(name) for name in list(t) if name.startswith("layer3.backward")]
        ),
        r"'layer3.backward.*is missing.*F13",
    ),
    "bidirectional weights in a unidirectional graph": Attack(
        with_manifest(
            lambda values: (
                set_in("graph.2.bidirectional", False)(values),
                set_in("graph.3.inputs", 3)(values),
            )
        ),
        r"'layer4.weights.*|'layer3.backward.*F13",
    ),
    "peephole of two gates": Attack(
        with_tensor("layer3.forward.peephole.weights", np.zeros((2, 3), np.int16), PROJECTED),
        r"is int16\[2, 3\], the graph needs int16\[3, 3\].*F13",
    ),
    "nonzero counts too large": Attack(
        with_entry(f"{MATRIX}.row_nonzeros", 0, 65_535), r"row_nonzeros': counts add up.*F14"
    ),
    "gap missing": Attack(
        with_tensor(f"{MATRIX}.gaps", SHORT_GAPS), r"gaps': lands on \d+ nonzeros.*F14"
    ),
    "gap overrun": Attack(
        with_entry(f"{MATRIX}.gaps", 0, 200), r"gaps': row 0 reaches column \d+ of 12.*F14"
    ),
    "index beyond the width by one": Attack(
        with_tensors(
            lambda t: (
                t[f"{MATRIX}.row_nonzeros"].__setitem__(slice(None), [1, 0, 0]),
                t.update({f"{MATRIX}.gaps": np.array([12], np.uint8)}),
                t.update({f"{MATRIX}.values": np.array([5], np.int8)}),
            )
        ),
        r"gaps': row 0 reaches column 12 of 12.*F14",
    ),
    "gap turned into an escape": Attack(
        with_entry(f"{MATRIX}.gaps", 0, 255), r"gaps': lands on \d+ nonzeros.*F14"
    ),
    "escapes after the last nonzero": Attack(
        with_tensors(
            lambda t: t.update({f"{MATRIX}.gaps": np.append(t[f"{MATRIX}.gaps"], np.uint8(255))})
        ),
        r"gaps': bytes follow the last nonzero.*F14",
    ),
    "a million escapes": Attack(
        with_tensors(
            lambda t: t.update(
                {
                    f"{MATRIX}.gaps": np.concatenate(
                        [np.full(10**6, 255, np.uint8), t[f"{MATRIX}.gaps"]]
                    )
                }
            )
        ),
        r"gaps': row 0 reaches column 25500\d+ of 12.*F14",
    ),
    "stored zero": Attack(
        with_entry(f"{MATRIX}.values", 0, 0), r"'layer1.weights': row 0 stores a weight 0.*F15"
    ),
    "peephole weight -32768": Attack(
        with_entry("layer3.forward.peephole.weights", (0, 0), -32768, PROJECTED),
        r"peephole.weights': holds -32768.*F15",
    ),
    "accumulator may overflow": Attack(
        with_entry("layer1.bias", 1, 2**31 - 1),
        r"'layer1.weights': entry 1: \d+ is the largest accumulator.*2147483648.*F16",
    ),
    "bias -2^31": Attack(
        with_entry("layer5.bias", 0, -(2**31)), r"'layer5.bias': entry 0: -2147483648 must.*F16"
    ),
    "wide accumulator may overflow": Attack(
        with_entry("layer1.bias", 0, 2**47 - 1, WIDE), r"largest accumulator.*F16"
    ),
    "wide bias -2^63": Attack(
        with_entry("layer1.bias", 0, -(2**63), WIDE), r"'layer1.bias': entry 0: -9223.*F16"
    ),
    "multiplier 2^15 - 1": Attack(
        with_entry("layer1.requantize.multiplier", 0, 2**15 - 1), r"multiplier': .* 32767.*F17"
    ),
    "multiplier 0": Attack(with_entry(f"{GATES}.multiplier", 0, 0), r"multiplier': .* 0 .*F17"),
    "shift 0": Attack(with_entry("layer1.requantize.shift", 0, 0), r"shift': entry 0: 0 .*F17"),
    "shift 48": Attack(with_entry(f"{GATES}.shift", 0, 48), r"shift': entry 0: 48 must.*F17"),
    "shift 255 in one row": Attack(
        with_entry(f"{GATES}.shift", 5, 255, PROJECTED), r"shift': entry 5: 255 must.*F17"
    ),
    "rescaled value beyond 2^30": Attack(
        with_entry("layer1.requantize.shift", 0, 1), r"'layer1.requantize': .*1073741824.*F18"
    ),
    "peephole term beyond its bound": Attack(
        with_entry("layer3.forward.peephole.requantize.shift", 0, 2, PROJECTED),
        r"peephole.requantize': .*1073709057.*F18",
    ),
    "zero point 256": Attack(
        with_manifest(set_in("quantization.input_zero_point", 256)), r"zero point 256 must.*F19"
    ),
    "zero point -1": Attack(
        with_manifest(set_in("quantization.layers.layer1.output_zero_point", -1)),
        r"'layer1': zero point -1 must.*F19",
    ),
    "zero point in wide mode": Attack(
        with_manifest(set_in("quantization.input_zero_point", 1), WIDE), r"zero point 1 must.*F19"
    ),
    "clamp ends at 256": Attack(
        with_manifest(set_in("quantization.layers.layer1.high", 256)), r"'layer1': clamp.*F19"
    ),
    "clamp starts off its zero point": Attack(
        with_manifest(set_in("quantization.layers.layer1.low", 0)), r"'layer1': clamp 0\.\..*F19"
    ),
    "clamp reversed": Attack(
        with_manifest(set_in("quantization.layers.layer1.high", -5)), r"'layer1': clamp.*F19"
    ),
    "projection zero point 300": Attack(
        with_manifest(set_in("quantization.layers.layer3.output_zero_point", 300), PROJECTED),
        r"must be -300 times the sum.*F20",
    ),
    "borders off the zero point": Attack(
        with_manifest(
            lambda values: set_in(
                "quantization.layers.conv1.input_zero_point",
                (values["quantization"]["input_zero_point"] + 1) % 256,
            )(values),
            CONVOLVED,
        ),
        r"'conv1': input_zero_point is \d+, the layer before gives.*F19",
    ),
    "recurrent bias off by one": Attack(
        with_tensors(
            lambda t: t["layer3.forward.recurrent_bias"].__setitem__(
                4, t["layer3.forward.recurrent_bias"][4] + 1
            )
        ),
        r"recurrent_bias': entry 4: .* must be -128 times.*F20",
    ),
    "wrong table entry": Attack(
        with_entry("tables.sigmoid_base", 33, 0), r"sigmoid_base': entry 33 is 0, rule R6.*F21"
    ),
    "wrong slope": Attack(
        with_entry("tables.sigmoid_slope", 0, -1, WIDE), r"sigmoid_slope': entry 0 is -1.*F21"
    ),
    "mean NaN": Attack(with_entry("input.mean", 2, np.nan), r"mean': entry 2: nan must be.*F22"),
    "mean infinite": Attack(with_entry("input.mean", 0, np.inf), r"mean': entry 0: inf must.*F22"),
    "negative deviation": Attack(
        with_entry("input.deviation", 1, -1.0), r"deviation': entry 1: -1.0 must be.*F22"
    ),
    "deviation 0": Attack(with_entry("input.deviation", 0, 0.0), r"deviation': entry 0: 0.0.*F22"),
    "deviation infinite": Attack(
        with_entry("input.deviation", 3, np.inf), r"deviation': entry 3: inf must be.*F22"
    ),
    "logit scale infinite": Attack(
        with_entry("layer5.logit_scale", 0, np.inf), r"logit_scale': entry 0: inf.*F23"
    ),
    "table entry one too large": Attack(
        with_entry("tables.sigmoid_base", 0, 16385), r"sigmoid_base': entry 0 is 16385.*F21"
    ),
    "deviation NaN": Attack(with_entry("input.deviation", 0, np.nan), r"deviation'.*nan.*F22"),
    "input scale NaN": Attack(with_entry("input.scale", 0, np.nan), r"input.scale': nan.*F22"),
    "input scale 0": Attack(with_entry("input.scale", 0, 0.0), r"input.scale': 0.0 must.*F22"),
    "input scale infinite": Attack(with_entry("input.scale", 0, np.inf), r"input.scale': inf.*F22"),
    "logit scale NaN": Attack(
        with_entry("layer5.logit_scale", 0, np.nan), r"layer5.logit_scale': entry 0: nan.*F23"
    ),
    "logit scale negative": Attack(
        with_entry("layer5.logit_scale", 5, -1.0, PROJECTED), r"logit_scale': entry 5: -1.0.*F23"
    ),
}

ATTACKS = CONTAINER_ATTACKS | MANIFEST_ATTACKS | TENSOR_ATTACKS
