"""``sparsespeech export CHECKPOINT --packed``: a checkpoint to pass on, nonzeros only."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sparsespeech.cli.option_types import AsJson, CheckpointArgument
from sparsespeech.errors import CheckpointError

_MEBIBYTE = 2**20


def run(
    checkpoint: CheckpointArgument,
    output: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    packed: Annotated[
        bool, typer.Option("--packed", help="Store nonzeros only, in shards below a size limit.")
    ] = False,
    shard_mib: Annotated[
        float, typer.Option(min=0.01, max=4096, help="Limit of each shard in MiB.")
    ] = 16.0,
    average_only: Annotated[
        bool,
        typer.Option(
            "--average-only", help="Only the averaged weights: all that use and fine-tuning need."
        ),
    ] = False,
    bfloat16: Annotated[
        bool, typer.Option("--bfloat16", help="Round the matrices to half the bytes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a checkpoint that evaluate, quantize and train read, without the optimizer's state.

    Without --bfloat16 every weight comes back with its value.
    """
    from sparsespeech.training.packed_checkpoint import pack_checkpoint

    if not packed:
        raise CheckpointError("export knows one form so far: give --packed")
    sizes = pack_checkpoint(
        checkpoint,
        output,
        shard_bytes=int(shard_mib * _MEBIBYTE),
        average_only=average_only,
        bfloat16=bfloat16,
    )
    if as_json:
        facts = {**asdict(sizes), "checkpoint": str(sizes.checkpoint), "output": str(output)}
        typer.echo(json.dumps(facts))
        return
    density = sizes.nonzeros / sizes.parameters
    typer.echo(f"step {sizes.step}: {sizes.parameters:,} parameters, {density:.1%} of them nonzero")
    typer.echo(
        f"{sizes.bytes_packed:,} bytes in {sizes.files} shards, the largest {sizes.largest_file:,} "
        f"(dense: {sizes.bytes_dense:,} bytes, {sizes.bytes_dense / sizes.bytes_packed:.1f} times)"
    )
    typer.echo(f"written: {output}")
