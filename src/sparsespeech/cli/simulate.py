"""``sparsespeech simulate PROGRAM AUDIO...``: a program run bit-exactly and cycle-exactly."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from sparsespeech import atomic_file
from sparsespeech.accelerator import Accelerator, AcceleratorRun
from sparsespeech.accelerator_config import TARGETS
from sparsespeech.accelerator_config import target as named_target
from sparsespeech.backend import load_backend
from sparsespeech.cli.accelerator_options import ConfigOption
from sparsespeech.cli.option_types import AsJson
from sparsespeech.cli.simulation_input import SpokenInput, named_recordings, read_spoken_input
from sparsespeech.cli.simulation_output import print_simulation
from sparsespeech.cli.tables import table_console
from sparsespeech.compilation import DEFAULT_TARGET
from sparsespeech.compiler.program import Program
from sparsespeech.compiler.program_file import load_program
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.decoding.softmax import log_softmax
from sparsespeech.errors import SimulationError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.model_file.model import OutputLayer
from sparsespeech.report.simulation import SimulatedRecording, Simulation
from sparsespeech.report.simulation_report import simulation_page
from sparsespeech.simulator.device import SimulatedDevice
from sparsespeech.simulator.run_figures import utterance_figures
from sparsespeech.simulator.trace import trace
from sparsespeech.simulator.value_change_dump import value_change_dump

TraceOption = Annotated[
    Path | None,
    typer.Option("--trace", metavar="X.json", help="Trace for Perfetto or chrome://tracing."),
]
DumpOption = Annotated[
    Path | None, typer.Option("--vcd", metavar="X.vcd", help="Value change dump for GTKWave.")
]
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="X.html", help="Report with pictures, one page."),
]


def run(
    program: Annotated[Path, typer.Argument(help="Program file of 'sparsespeech compile'.")],
    audio: Annotated[
        list[Path],
        typer.Argument(metavar="AUDIO|MANIFEST...", help="Recordings, folders, .jsonl manifests."),
    ],
    in_flight: Annotated[
        int, typer.Option(min=1, help="Utterances that are interleaved frame by frame.")
    ] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many recordings, the first ones.")
    ] = None,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Run what is there of truncated files.")
    ] = False,
    host_backend: Annotated[
        str | None,
        typer.Option(metavar="cpu|reference", help="Executor of the layers on the host."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare all logits with the reference executor.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(TARGETS), help="The accelerator one has; other programs are refused."
        ),
    ] = None,
    config: ConfigOption = None,
    trace_file: TraceOption = None,
    vcd: DumpOption = None,
    html: HtmlOption = None,
    as_json: AsJson = False,
) -> None:
    """Run a compiled program on speech: text, latency, and where each cycle went.

    Latency is that of the accelerator alone, from the first flit of an utterance to its last
    output. Values come from the program's own memory images.
    """
    given = {program: "the program", **dict.fromkeys(audio, "an input")}
    if config is not None:
        given[config] = "the file of --config"
    outputs = {"--trace": trace_file, "--vcd": vcd, "--html": html}
    _check_outputs(outputs, given)
    wanted = None
    if target is not None or config is not None:
        wanted = named_target(target or DEFAULT_TARGET, config)
    loaded = load_program(program, wanted)
    device = SimulatedDevice(loaded.config)
    accelerator = Accelerator(loaded, device, host_backend=host_backend)
    recordings_found = named_recordings(audio)
    _check_outputs(outputs, dict.fromkeys(recordings_found, "a recording"))
    inputs = tuple(
        read_spoken_input(path, loaded.model, allow_truncated=allow_truncated)
        for path in recordings_found[:limit]
    )
    start = time.perf_counter()
    result = _run(accelerator, inputs, in_flight)
    wall_s = time.perf_counter() - start
    record = device.run_record()
    recordings = tuple(
        SimulatedRecording(str(spoken.path), spoken.duration_s, text, figures)
        for spoken, text, figures in zip(
            inputs,
            _texts(loaded, result),
            utterance_figures(record),
            strict=True,
        )
    )
    verified = _verify(loaded, inputs, result) if verify else None
    simulation = Simulation.of_run(record, recordings, wall_s, verified)
    _write_files(simulation, trace_file, vcd, html)
    if as_json:
        typer.echo(json.dumps(simulation.to_json()))
    else:
        print_simulation(table_console(), simulation)


def _check_outputs(paths: dict[str, Path | None], inputs: dict[Path, str]) -> None:
    """Before any work: files in folders that can be written, a file of its own for each option.

    None of them may be one of ``inputs``, which are named by what they are.
    """
    taken = {os.path.realpath(path): f"{what} that is read" for path, what in inputs.items()}
    for option, path in paths.items():
        if path is None:
            continue
        if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise typer.BadParameter(
                f"{path}: give the path of a file in an existing folder that you can write",
                param_hint=option,
            )
        other = taken.get(os.path.realpath(path))
        if other is not None:
            raise typer.BadParameter(
                f"{path}: is {other} too; name another file", param_hint=option
            )
        taken[os.path.realpath(path)] = f"the file of {option}"


def _run(
    accelerator: Accelerator, inputs: tuple[SpokenInput, ...], in_flight: int
) -> AcceleratorRun:
    """The run, with a bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("simulating", total=len(inputs))
        return accelerator.run(
            [spoken.windows for spoken in inputs],
            in_flight=in_flight,
            progress=lambda done: bar.update(task, completed=done),
        )


def _texts(program: Program, result: AcceleratorRun) -> list[str]:
    """What a greedy decoder reads in the logits of each utterance."""
    output = program.model.layers[-1]
    assert isinstance(output, OutputLayer)  # an accelerator never computes the last layer
    alphabet = Alphabet(program.model.labels)
    frame_s = MfccConfig.from_json(program.model.features).frame_duration_s
    return [
        greedy_decode(log_softmax(logits, output.scale), alphabet, frame_s).text
        for logits in result.logits
    ]


def _verify(program: Program, inputs: tuple[SpokenInput, ...], result: AcceleratorRun) -> int:
    """How many logits were compared; raises SimulationError naming the first that differs."""
    reference = load_backend("reference")(program.model)
    compared = 0
    for spoken, logits in zip(inputs, result.logits, strict=True):
        expected: NDArray[np.int64] = reference.run(spoken.windows)
        if not np.array_equal(logits, expected):
            frame, label = (int(place) for place in np.argwhere(logits != expected)[0])
            raise SimulationError(
                f"{spoken.path}: logit {label} of frame {frame} is {logits[frame, label]}, the "
                f"reference executor has {expected[frame, label]}; this is a bug, please report it"
            )
        compared += expected.size
    return compared


def _write_files(
    simulation: Simulation,
    trace_file: Path | None,
    vcd: Path | None,
    html: Path | None,
) -> None:
    """All files or none."""
    contents: dict[Path, str] = {}
    if trace_file is not None:
        contents[trace_file] = json.dumps(trace(simulation.run))
    if vcd is not None:
        contents[vcd] = value_change_dump(simulation.run)
    if html is not None:
        contents[html] = simulation_page(simulation)
    atomic_file.write_all({path: content.encode() for path, content in contents.items()})
