"""Hostile tensors (rules F13 to F23): shapes, gaps, weights, multipliers, tables."""

from __future__ import annotations

import numpy as np

from sparsespeech.model_file.container import parse
from tests.fuzz.forged_files import (
    CONVOLVED,
    MATRIX,
    PLAIN,
    PROJECTED,
    WIDE,
    Attack,
    remove,
    set_in,
    with_entry,
    with_manifest,
    with_tensor,
    with_tensors,
)

SHORT_GAPS = parse(PLAIN).tensors[f"{MATRIX}.gaps"][:-1]
GATES = "layer3.forward.input_requantize"

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
