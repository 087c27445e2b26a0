"""The program file: a whole accelerator program, proved when it is written and when it is read.

Axes: R row lanes, Q windows. ``program_file.md`` states the rules P1 to P10 that errors name. The
container is that of the model file, so no flipped bit loads; the model lies inside as the bytes of
its own file. What follows from model, configuration and mapping is compiled again and compared, and
the circuits are proved, so a program that loads computes its model and nothing else.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Program
from sparsespeech.compiler.program_rules import prove_program
from sparsespeech.compiler.program_values import decode_value, encode_value
from sparsespeech.errors import (
    AcceleratorConfigError,
    ModelFileError,
    ProgramFileError,
)
from sparsespeech.model_file.canonical_json import shown
from sparsespeech.model_file.container import Container, Tensors, parse, serialise
from sparsespeech.model_file.proved_file import read_proved, write_proved
from sparsespeech.model_file.reader import decode_model
from sparsespeech.model_file.writer import encode_model

SUFFIX = ".program"
FORMAT = "sparsespeech accelerator program"
FORMAT_VERSION = 1
_PARTS = ("accelerated", "chains", "mapping", "places", "sequences", "streams", "tasks")
_KEYS = sorted((*_PARTS, "config", "facts", "format", "format_version"))
_MODEL = "model"  # tensor: the bytes of the model file
_IF_ABSENT = "make a program of a model with `sparsespeech compile MODEL --output`"


def save_program(program: Program, path: Path) -> None:
    """Write ``program`` to ``path``, NAME.program, atomically.

    A failure of any kind leaves an old file as it was. Raises ProgramFileError for a program that
    breaks a rule, another suffix, and where the disk refuses.
    """
    if path.suffix != SUFFIX:
        raise ProgramFileError(f"{path}: the name of a program file must end in {SUFFIX} (rule P1)")
    write_proved(path, lambda: encode_program(program), decode_program, ProgramFileError)


def load_program(path: Path, config: AcceleratorConfig | None = None) -> Program:
    """The program in the file ``path``; its arrays are read-only.

    With ``config`` the program must be compiled for exactly that configuration. Raises one
    ProgramFileError that names file, entry and rule.
    """

    def decode(content: bytes) -> Program:
        program = decode_program(content)
        if config is not None:
            check_same_config(program.config, config)
        return program

    return read_proved(path, decode, ProgramFileError, rule="P1", if_absent=_IF_ABSENT)


def encode_program(program: Program) -> bytes:
    """The bytes of the file; equal programs give equal bytes. Raises ProgramFileError."""
    tensors: Tensors = {}
    try:
        values = {name: encode_value(getattr(program, name), name, tensors) for name in _PARTS}
        tensors |= {
            f"words.{core}": image.view(np.int64).reshape(
                math.prod(image.shape[:2]), image.shape[2]
            )
            for core, image in enumerate(program.words)
        }
        tensors[_MODEL] = np.frombuffer(encode_model(program.model), dtype=np.uint8)
        manifest = {
            **values,
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "config": program.config.to_json(),
            "facts": program.facts,
        }
        return serialise(Container(manifest, tensors))
    except ModelFileError as error:
        raise ProgramFileError(f"{error} (rule P2)") from None


def decode_program(content: bytes) -> Program:
    """The program in the bytes of a file; raises ProgramFileError naming entry and rule."""
    try:
        manifest, tensors = parse(content)
    except ModelFileError as error:
        message = str(error).replace("no sparsespeech model file", "no sparsespeech program file")
        raise ProgramFileError(f"{message} of model_file/format.md (rule P2)") from None
    _check_manifest(manifest)
    config = _config(manifest["config"])
    tensors = dict(tensors)
    hints = get_type_hints(Program)
    parts = {name: decode_value(hints[name], manifest[name], name, tensors) for name in _PARTS}
    program = Program(
        **parts,
        config=config,
        words=_take_words(tensors, len(parts["places"]), config),
        model=_take_model(tensors),
        facts=manifest["facts"],
    )
    if tensors:
        raise ProgramFileError(f"tensor {shown(min(tensors))}: belongs to no entry (rule P5)")
    prove_program(program)
    return program


def _check_manifest(manifest: dict[str, Any]) -> None:
    """Rule P3, before anything else of the manifest is read."""
    found = manifest.get("format")
    if found != FORMAT:
        raise ProgramFileError(
            f"manifest: 'format' must be {FORMAT!r}, got {shown(found)}; make a program of a model "
            "with `sparsespeech compile` (rule P3)"
        )
    version = manifest.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise ProgramFileError(
            f"manifest: format_version {shown(version)} is unknown, this release reads "
            f"{FORMAT_VERSION}; compile the model again (rule P3)"
        )
    if sorted(manifest) != _KEYS:
        raise ProgramFileError(
            f"manifest: keys must be {_KEYS}, got {shown(sorted(manifest))} (rule P3)"
        )
    if not isinstance(manifest["facts"], dict):
        raise ProgramFileError(
            f"facts: must be an object, got {shown(manifest['facts'])} (rule P4)"
        )


def _config(values: Any) -> AcceleratorConfig:
    """Rule P6: all parameters, in the range of their targets."""
    try:
        config = AcceleratorConfig.from_json(values)
    except AcceleratorConfigError as error:
        raise ProgramFileError(f"{error} (rule P6)") from None
    if config.to_json() != values:
        missing = sorted(set(config.to_json()) - set(values)) or ["stages"]
        raise ProgramFileError(f"config: {missing[0]!r} is missing or incomplete (rule P6)")
    return config


def _take_words(
    tensors: Tensors, cores: int, config: AcceleratorConfig
) -> tuple[np.ndarray[Any, np.dtype[np.uint64]], ...]:
    """Rule P5 for the weight memories, uint64[R, Q, words] a core."""
    images = []
    for core in range(cores):
        name = f"words.{core}"
        tensor = tensors.pop(name, None)
        streams = config.row_lanes * config.windows
        fits = tensor is not None and tensor.ndim == 2 and tensor.shape[0] == streams
        if tensor is None or not fits or tensor.dtype != np.int64:
            found = "missing" if tensor is None else f"{tensor.dtype.name}{list(tensor.shape)}"
            raise ProgramFileError(
                f"tensor {name!r}: is {found}, expected int64[{streams}, words] (rule P5)"
            )
        image = tensor.reshape(config.row_lanes, config.windows, -1)
        images.append(image.view(np.uint64))
    return tuple(images)


def _take_model(tensors: Tensors) -> Any:
    """Rule P7: a model file, proved as one."""
    tensor = tensors.pop(_MODEL, None)
    if tensor is None or tensor.dtype != np.uint8 or tensor.ndim != 1:
        raise ProgramFileError(f"tensor {_MODEL!r}: must hold the bytes of a model file (rule P5)")
    try:
        return decode_model(tensor.tobytes())
    except ModelFileError as error:
        raise ProgramFileError(f"tensor {_MODEL!r}: {error} (rule P7)") from None


def check_same_config(found: AcceleratorConfig, wanted: AcceleratorConfig) -> None:
    """Rule P10: ProgramFileError where a program compiled for ``found`` is given to ``wanted``."""
    ours, theirs = wanted.to_json(), found.to_json()
    for name, value in ours.items():
        if theirs[name] != value:
            mine, its = (
                ("", "")
                if name == "name"
                else (f" with {shown(value)}", f" with {name} = {shown(theirs[name])}")
            )
            raise ProgramFileError(
                f"config: the program is compiled for {found.name!r}{its}, this accelerator is "
                f"{wanted.name!r}{mine}; "
                f"compile the model with --target {wanted.name}, and with the --config of this "
                "accelerator if it has one (rule P10)"
            )
