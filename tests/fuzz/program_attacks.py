"""Hostile program files, each wrong in one way, with valid digests wherever the attack allows.

``PROGRAM_ATTACKS`` maps a name to the file's bytes and to a regular expression for its one error.
"""

from __future__ import annotations

import numpy as np

from tests.fuzz.forged_files import PLAIN, Attack, set_in, with_entry
from tests.fuzz.forged_programs import (
    BASE,
    LINEAR_TAIL,
    PROGRAM,
    added,
    as_bytes,
    credits_that_meet,
    exchanged,
    moved,
    other_model,
    stream_of,
    with_manifest,
    with_tensor,
    with_tensors,
)

FRAMES, SUMS = stream_of("activations"), stream_of("gate_inputs")
EMPTY_SLOTS = f"streams.{FRAMES}.slots"

CONTAINER_ATTACKS = {
    "empty": Attack(b"", r"no sparsespeech program file.*\(rule F3\).*P2"),
    "text": Attack(b"this is not a program file\n" * 20, r"header: .*P2"),
    "cut short": Attack(BASE[:-1], r"the file is cut short.*P2"),
    "a byte more": Attack(BASE + b"\0", r"bytes follow the last tensor.*P2"),
    "a model file": Attack(PLAIN, r"manifest: 'format' must be .*sparsespeech compile.*P3"),
}

MANIFEST_ATTACKS = {
    "future version": Attack(
        with_manifest(set_in("format_version", 2)), r"format_version 2 is unknown.*P3"
    ),
    "true as version": Attack(
        with_manifest(set_in("format_version", True)), r"format_version True is unknown.*P3"
    ),
    "key too many": Attack(with_manifest(set_in("note", 1)), r"manifest: keys must be.*P3"),
    "no streams": Attack(
        with_manifest(lambda values: values.pop("streams")), r"manifest: keys must be.*P3"
    ),
    "facts are a list": Attack(with_manifest(set_in("facts", [])), r"facts: must be an object.*P4"),
    "unknown mapping": Attack(
        with_manifest(set_in("mapping", "best")), r"mapping: must be one of .*got 'best'.*P4"
    ),
    "mapping is a list": Attack(with_manifest(set_in("mapping", [])), r"mapping: must be one.*P4"),
    "tasks are an object": Attack(
        with_manifest(set_in("tasks", {})), r"tasks: must be a list, got \{\}.*P4"
    ),
    "core is a text": Attack(
        with_manifest(set_in("tasks.0.core", "0")), r"tasks.0.core: must be a whole number.*P4"
    ),
    "core is true": Attack(
        with_manifest(set_in("tasks.0.core", True)), r"tasks.0.core: must be a whole number.*P4"
    ),
    "core is a fraction": Attack(
        with_manifest(set_in("tasks.0.core", 0.0)), r"tasks.0.core: must be a whole number.*P4"
    ),
    "columns of three": Attack(
        with_manifest(set_in("tasks.0.columns", [0, 1, 2])),
        r"tasks.0.columns: must be a list of 2.*P4",
    ),
    "name is null": Attack(
        with_manifest(set_in("chains.0.name", None)), r"chains.0.name: must be a text.*P4"
    ),
    "role of its own": Attack(
        with_manifest(set_in("chains.0.role", "cell")), r"chains.0.role: must be one of.*P4"
    ),
    "task without a core": Attack(
        with_manifest(lambda values: values["tasks"][0].pop("core")),
        r"tasks.0: keys must be.*P4",
    ),
    "segment with a key too many": Attack(
        with_manifest(set_in("tasks.0.segments.0.note", 1)), r"tasks.0.segments.0: keys must.*P4"
    ),
}

TENSOR_ATTACKS = {
    "tensor too many": Attack(
        with_tensor("words.99", np.zeros((8, 1), dtype=np.int64)),
        r"tensor 'words.99': belongs to no entry.*P5",
    ),
    "no words": Attack(
        with_tensors(lambda tensors: tensors.pop("words.0")), r"'words.0': is missing.*P5"
    ),
    "words of another lane count": Attack(
        with_tensor("words.0", np.zeros((4, 2), dtype=np.int64)),
        r"'words.0': is int64\[4, 2\], expected int64\[8, words\].*P5",
    ),
    "words of one axis": Attack(
        with_tensor("words.0", np.zeros(8, dtype=np.int64)), r"'words.0': is int64\[8\].*P5"
    ),
    "words of half the width": Attack(
        with_tensor("words.0", np.zeros((8, 2), dtype=np.int32)), r"'words.0': is int32.*P5"
    ),
    "no biases": Attack(
        with_tensors(lambda tensors: tensors.pop(f"{LINEAR_TAIL}.bias")),
        r"'chains.0.tail.bias': is missing.*P5",
    ),
    "biases of half the width": Attack(
        with_tensor(f"{LINEAR_TAIL}.bias", np.zeros((2, 4), dtype=np.int32)),
        r"'chains.0.tail.bias': is int32\[2, 4\], expected int64.*P5",
    ),
    "word counts of one axis": Attack(
        with_tensor("tasks.0.word_count", np.zeros(8, dtype=np.int32)),
        r"'tasks.0.word_count': is int32\[8\].*P5",
    ),
    "no model": Attack(
        with_tensors(lambda tensors: tensors.pop("model")), r"'model': must hold the bytes.*P5"
    ),
    "model of two axes": Attack(
        with_tensor("model", np.zeros((2, 2), dtype=np.uint8)), r"'model': must hold.*P5"
    ),
}

CONFIG_ATTACKS = {
    "config is a list": Attack(with_manifest(set_in("config", [])), r"expected a table.*P6"),
    "config without a parameter": Attack(
        with_manifest(lambda values: values["config"].pop("slots")),
        r"config: 'slots' is missing.*P6",
    ),
    "config without a stage": Attack(
        with_manifest(lambda values: values["config"]["stages"].pop("hop")),
        r"config: 'stages' is missing or incomplete.*P6",
    ),
    "config with a parameter of its own": Attack(
        with_manifest(set_in("config.speed", 1)), r"unknown key 'speed'.*P6"
    ),
    "windows below 0": Attack(
        with_manifest(set_in("config.windows", -2)), r"windows = -2, expected more than 0.*P6"
    ),
    "windows are three": Attack(
        with_manifest(set_in("config.windows", 3)), r"windows = 3, expected a power of two.*P6"
    ),
    "stage without a register": Attack(
        with_manifest(set_in("config.stages.fetch", 0)), r"stages.fetch = 0, expected 1.*P6"
    ),
    "stage of 2^50 cycles": Attack(
        with_manifest(set_in("config.stages.fetch", 2**50)),
        r"stages.fetch = 11.*24, expected 1 to 1000 .*P6",
    ),
    "name with control signs": Attack(
        with_manifest(set_in("config.name", "\x1b[2J")), r"name = '.x1b.*expected 1 to 80 print.*P6"
    ),
    "grid of 2^53 sites": Attack(
        with_manifest(set_in("config.grid_rows", 2**52)), r"grid_rows = .*at most 64 .*P6"
    ),
    "2^30 windows": Attack(
        with_manifest(set_in("config.windows", 2**30)), r"windows = .*at most 1,024 .*P6"
    ),
    "wheel of 2^40 slots": Attack(
        with_manifest(set_in("config.slots", 2**40)), r"slots = .*at most 256 .*P6"
    ),
    "2^16 streams a core": Attack(
        with_manifest(lambda values: values["config"].update(row_lanes=64, windows=1024)),
        r"row_lanes = 64, expected at most 4096 with windows.*P6",
    ),
    "memory of 2^50 words": Attack(
        with_manifest(set_in("config.weight_words", 2**50)),
        r"weight_words = .*at most 1,048,576 .*P6",
    ),
}

MODEL_ATTACKS = {
    "model is no model file": Attack(
        with_tensor("model", as_bytes(b"x" * 500)), r"'model': header: .*F3\) \(rule P7"
    ),
    "model with a column out of range": Attack(
        with_tensor("model", as_bytes(with_entry("layer1.weights.gaps", 0, 250))),
        r"'model': tensor 'layer1.weights.gaps'.*F14\) \(rule P7",
    ),
    "another model": Attack(with_tensor("model", as_bytes(other_model())), r": .*P8"),
}

MAPPING_ATTACKS = {
    "the other mapping": Attack(with_manifest(set_in("mapping", "paper")), r".*P8"),
    "layer that the model lacks": Attack(
        with_manifest(set_in("accelerated.0", "layer9")), r"accelerated.0: is 'layer9'.*P8"
    ),
    "nothing accelerated": Attack(
        with_manifest(set_in("accelerated", [])), r"no layer is left.*P8"
    ),
    "output layer accelerated": Attack(
        with_manifest(set_in("accelerated", [f"layer{n}" for n in range(1, 6)])),
        r"does not follow from its model: layer 'layer\d'.*P8",
    ),
    "core off the grid": Attack(
        with_manifest(set_in("places.1", [9, 9])), r"places.1.0: is 9, the model needs.*P8"
    ),
    "two cores on a site": Attack(
        with_manifest(lambda values: values["places"].__setitem__(1, values["places"][0])),
        r"places.1.\d: is .*P8",
    ),
    "task on a core that does not exist": Attack(
        with_manifest(set_in("tasks.0.core", 99)), r"tasks.0.core: is 99.*P8"
    ),
    "task of core -1": Attack(with_manifest(set_in("tasks.0.core", -1)), r"tasks.0.core.*P8"),
    "task of another chain": Attack(moved("tasks.0.chain", 1), r"tasks.0.chain: is 1.*P8"),
    "task at another position": Attack(moved("tasks.0.position", 1), r"tasks.0.position.*P8"),
    "task of another matrix": Attack(
        with_manifest(set_in("tasks.0.matrix", "layer2.weights")), r"tasks.0.matrix: is.*P8"
    ),
    "columns beyond the matrix": Attack(moved("tasks.0.columns.1", 1), r"tasks.0.columns.1.*P8"),
    "segment of another stream": Attack(
        with_manifest(set_in("tasks.0.segments.0.stream", 99)), r"segments.0.stream: is 99.*P8"
    ),
    "segment beyond the frame": Attack(
        moved("tasks.0.segments.0.count", 1), r"segments.0.count.*P8"
    ),
    "segment at another place": Attack(
        moved("tasks.0.segments.0.destination", 1), r"segments.0.destination: is 1.*P8"
    ),
    "no segment": Attack(
        with_manifest(set_in("tasks.0.segments", [])), r"tasks.0.segments: has 0 entries.*P8"
    ),
    "two tasks exchanged": Attack(exchanged("tasks", 0, 1), r"tasks.0.*P8"),
    "task missing": Attack(
        with_tensors(
            lambda tensors: [
                tensors.pop(f"tasks.{len(PROGRAM.tasks) - 1}.{name}")
                for name in ("word_start", "word_count")
            ]
        ),
        r"tensor 'tasks.\d+.word_(start|count)': is missing.*P5",
    ),
    "chain of a layer of the host": Attack(
        with_manifest(set_in("chains.0.layer", "layer4")),
        r"chains.0.layer: 'layer4' is not accelerated.*P8",
    ),
    "million row groups": Attack(
        with_manifest(set_in("chains.0.row_group", 10**6)), r"chains: layer 'layer1' has none|P8"
    ),
    "row group below 0": Attack(
        with_manifest(set_in("chains.0.row_group", -1)), r"layer 'layer1' has none.*P8"
    ),
    "chain of the other direction": Attack(
        with_manifest(set_in("chains.2.direction", "backward")), r"chains.2.direction: is.*P8"
    ),
    "gate input as recurrent": Attack(
        with_manifest(set_in("chains.2.role", "recurrent")), r"chains.2.role: is.*P8"
    ),
    "other outputs": Attack(moved("chains.0.first_output", 4), r"chains.0.first_output.*P8"),
    "more outputs": Attack(moved("chains.0.outputs", 1), r"chains.0.outputs: is 7.*P8"),
    "output to another stream": Attack(moved("chains.0.output_stream", 1), r"output_stream.*P8"),
    "tasks of another chain": Attack(
        with_manifest(set_in("chains.0.tasks", [1])), r"chains.0.tasks.0: is 1.*P8"
    ),
    "gates of another chain": Attack(
        with_manifest(set_in("chains.3.gate_chain", 0)), r"chains.3.gate_chain: is 0.*P8"
    ),
    "clamp of its own": Attack(moved("chains.0.tail.high", 1), r"chains.0.tail.high: is.*P8"),
    "zero point of its own": Attack(
        moved("chains.0.tail.zero_point", 1), r"chains.0.tail.zero_point: is.*P8"
    ),
    "row of another lane": Attack(
        added(f"{LINEAR_TAIL}.rows", 1), r"tail.rows: entry \[0, 0\].*P8"
    ),
    "bias of its own": Attack(added(f"{LINEAR_TAIL}.bias", 1), r"tail.bias: entry \[0, 0\].*P8"),
    "multiplier of its own": Attack(
        added(f"{LINEAR_TAIL}.multiplier", 1), r"tail.multiplier: entry.*P8"
    ),
    "shift of its own": Attack(added(f"{LINEAR_TAIL}.shift", 64), r"tail.shift: entry.*P8"),
    "row group more": Attack(
        with_tensors(
            lambda tensors: tensors.update(
                {
                    name: np.vstack((tensor, tensor[:1]))
                    for name, tensor in tensors.items()
                    if name.startswith(LINEAR_TAIL)
                }
            )
        ),
        r"chains.0.tail.rows: is int32\[3, 4\], the model needs int32\[2, 4\].*P8",
    ),
    "words start later": Attack(added("tasks.0.word_start", 1), r"word_start: entry.*P8"),
    "words start before the memory": Attack(added("tasks.0.word_start", -1), r"word_start.*P8"),
    "2^31 words": Attack(added("tasks.0.word_count", 2**31 - 5), r"word_count: entry.*P8"),
    "a weight one larger": Attack(added("words.0", 1), r"words.0: entry \[0, 0, 0\].*P8"),
    "an index one larger": Attack(added("words.0", 1 << 8), r"words.0: entry \[0, 0, 0\].*P8"),
    "a bit above the word": Attack(added("words.0", 1 << 62), r"words.0: entry \[0, 0, 0\].*P8"),
    "a row end less": Attack(
        with_tensors(lambda tensors: tensors["words.0"].__iand__(np.int64((1 << 28) - 1))),
        r"words.0: entry.*P8",
    ),
    "a word more": Attack(
        with_tensors(
            lambda tensors: tensors.update(
                {"words.0": np.hstack((tensors["words.0"], tensors["words.0"][:, :1]))}
            )
        ),
        r"words.0: is uint64.*P8",
    ),
}

STREAM_ATTACKS = {
    "stream missing": Attack(
        with_manifest(lambda values: values["streams"].pop()), r"streams: \d+, the program's.*P9"
    ),
    "streams exchanged": Attack(exchanged("streams", 0, 1), r"streams.0.name.*P9"),
    "stream of another kind": Attack(
        with_manifest(set_in(f"streams.{FRAMES}.kind", "credits")), r"\.kind: is 'credits'.*P9"
    ),
    "source on no core": Attack(
        with_manifest(set_in(f"streams.{FRAMES}.source", 77)), r"\.source: is 77.*P9"
    ),
    "sink on no core": Attack(
        with_manifest(set_in(f"streams.{FRAMES}.sinks.0.core", 77)), r"\.sinks.0: is 77.*P9"
    ),
    "sink missing": Attack(
        with_manifest(set_in(f"streams.{FRAMES}.sinks", [])), r"\.sinks: has 0 entries.*P9"
    ),
    "sink nearer than it is": Attack(
        moved(f"streams.{FRAMES}.sinks.0.hops", -1), r"stream '.*' does not reach core.*P9"
    ),
    "frame of another width": Attack(moved(f"streams.{FRAMES}.frame", 1), r"\.frame: is.*P9"),
    "no slot": Attack(with_manifest(set_in(EMPTY_SLOTS, [])), r"slots: must be rising.*P9"),
    "slot outside the wheel": Attack(
        with_manifest(set_in(EMPTY_SLOTS, [16])), r"slots: must be rising slots of 0..15.*P9"
    ),
    "slot twice": Attack(with_manifest(set_in(EMPTY_SLOTS, [1, 1])), r"slots: must be rising.*P9"),
    "slots of a partial sum": Attack(
        with_manifest(set_in(f"streams.{SUMS}.slots", [0])), r"slots: must be all 16 slots.*P9"
    ),
    "link missing": Attack(
        with_manifest(lambda values: values["streams"][FRAMES]["links"].pop()),
        r"stream '.*' does not reach core.*P9",
    ),
    "link twice": Attack(
        with_manifest(
            lambda values: values["streams"][FRAMES]["links"].append(
                values["streams"][FRAMES]["links"][0]
            )
        ),
        r"streams '.*' both hold slot.*P9",
    ),
    "link off the grid": Attack(
        with_manifest(set_in(f"streams.{SUMS}.links.0.stop", [5, 5])),
        r"stream '.*': the link.*\(5, 5\).*P9",
    ),
    "link from nowhere": Attack(
        with_manifest(set_in(f"streams.{SUMS}.links.0.start", [5, 5])),
        r"stream '.*': the link \(5, 5\).*P9",
    ),
    "link in another slot": Attack(
        with_manifest(
            lambda values: (
                values["streams"][FRAMES]["links"][-1].update({"slots": [0]})
                if values["streams"][FRAMES]["links"][-1]["slots"] != [0]
                else values["streams"][FRAMES]["links"][-1].update({"slots": [1]})
            )
        ),
        r"stream '.*': link .* has the slots.*expected.*P9",
    ),
    "two flits at a port": Attack(
        credits_that_meet(),
        r"'credits of .*forward.*' and 'credits of .*backward.*' both hold slot \d+ of the port by "
        r"which core 1 takes control flits;.*P9",
    ),
    "sequence of another chain": Attack(moved("sequences.0.chain", -1), r"sequences.0.chain.*P8"),
    "sequence with more frames": Attack(moved("sequences.0.frames", 1), r"sequences.0.frames.*P8"),
    "sequence in another direction": Attack(
        with_manifest(set_in("sequences.0.directions", ["forward"])), r"directions.0: is 'for.*P8"
    ),
    "no sequence": Attack(with_manifest(set_in("sequences", [])), r"sequences: has 0 entries.*P8"),
}

PROGRAM_ATTACKS = (
    CONTAINER_ATTACKS
    | MANIFEST_ATTACKS
    | TENSOR_ATTACKS
    | CONFIG_ATTACKS
    | MODEL_ATTACKS
    | MAPPING_ATTACKS
    | STREAM_ATTACKS
)
