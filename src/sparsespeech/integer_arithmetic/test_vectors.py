"""Write the conformance vectors: ``python -m sparsespeech.integer_arithmetic.test_vectors DIR``.

The expected values come from the definitional reference (``operators``, ``lstm``,
``fixed_point``, ``lookup_tables``). Writing again gives the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from sparsespeech import atomic_file
from sparsespeech.integer_arithmetic.vector_cases.extremes import extreme_model_vectors
from sparsespeech.integer_arithmetic.vector_cases.models import random_model_vectors
from sparsespeech.integer_arithmetic.vector_cases.primitives import primitive_vectors
from sparsespeech.integer_arithmetic.vector_cases.roundings import rounding_vectors
from sparsespeech.integer_arithmetic.vector_cases.storage import Vector, to_bytes

_FORMAT = """\
# Conformance vectors of the integer arithmetic

Each file is a safetensors container; the metadata key `vector` holds one JSON text with `name`,
`kind`, `rules`, `about` (what each tensor means) and `facts`. Files of kind `model` hold a whole
integer model (graph and layers in `facts`, arrays as tensors), `windows` of several utterances one
after the other with their lengths in `frames`, and the expected `logits` with `logit_frames`. The
other kinds hold inputs and results of single rules. Rule numbers refer to
`src/sparsespeech/integer_arithmetic/spec.md`. `SHA256SUMS` is in the form of `sha256sum`.

Written by `python -m sparsespeech.integer_arithmetic.test_vectors DIR`; never edit by hand.

"""


def all_vectors() -> list[Vector]:
    """Every vector, single rules first."""
    return [
        *primitive_vectors(),
        *extreme_model_vectors(),
        *rounding_vectors(),
        *random_model_vectors(),
    ]


def folder_content() -> dict[str, bytes]:
    """File name to content: the vectors, README.md with one line a vector, and SHA256SUMS."""
    vectors = all_vectors()
    content = {f"{vector.name}.safetensors": to_bytes(vector) for vector in vectors}
    lines = [f"- `{v.name}` ({v.kind}; {', '.join(v.rules)}): {v.about}\n" for v in vectors]
    content["README.md"] = (_FORMAT + "".join(lines)).encode("utf-8")
    sums = [f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n" for name in sorted(content)]
    content["SHA256SUMS"] = "".join(sums).encode("utf-8")
    return content


def main(arguments: list[str]) -> int:
    """Write the vectors into the folder that ``arguments`` names; 2 if it names none."""
    if len(arguments) != 1:
        print("usage: python -m sparsespeech.integer_arithmetic.test_vectors DIR", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in folder_content().items():
        atomic_file.write_bytes(folder / name, content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
