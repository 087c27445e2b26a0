"""Hostile manifests (rules F4 and F7 to F12): JSON, graph, alphabet, features, facts."""

from __future__ import annotations

from typing import Any

from sparsespeech.model_file import limits
from tests.fuzz.forged_files import (
    CONVOLVED,
    PROJECTED,
    Attack,
    remove,
    set_in,
    with_manifest,
    with_manifest_text,
)


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
    "huge sample rate": Attack(
        with_manifest(set_in("features.sample_rate_hz", 2**31)),
        r"break the rule 4000 <= sample_rate_hz <= 48000.*F10",
    ),
    "huge lifter": Attack(
        with_manifest(set_in("features.lifter", 2**40)),
        r"break the rule 0 <= lifter <= 65536.*F10",
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
