"""``sparsespeech demo``: bundled recordings through the bundled model, with facts and timing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sparsespeech.backend import Threads, default_backend
from sparsespeech.cli.default_model import default_model
from sparsespeech.cli.executor_options import BackendOption, ThreadsOption, threads_of_process
from sparsespeech.cli.option_types import AsJson
from sparsespeech.cli.stage_table import add_up, stage_table
from sparsespeech.cli.transcription_formats import timing_records
from sparsespeech.corpora.manifest import Utterance, read_manifest
from sparsespeech.evaluation.word_error_rate import count_errors, word_error_rate
from sparsespeech.model_file.statistics import ModelStatistics, model_statistics
from sparsespeech.recogniser import END_TO_END, StageTime, Transcription, load


def run(
    model: Annotated[
        str | None,
        typer.Option(help="Model file, or name of a bundled model; default english-medium."),
    ] = None,
    backend: BackendOption = None,
    threads: ThreadsOption = None,
    as_json: AsJson = False,
) -> None:
    """Transcribe the bundled recordings and compare with what was said.

    The recordings are sentences of our own, spoken by flite and espeak-ng; voices of these
    programs are in the training data of the bundled model, these sentences are not.
    """
    demonstration = demonstrate(
        model or default_model(), backend or default_backend(), threads_of_process(threads)
    )
    if as_json:
        print(json.dumps(_figures(demonstration), ensure_ascii=False, indent=2))
    else:
        _show(demonstration)


@dataclass(frozen=True)
class Demonstration:
    """What the command has to show."""

    model: str
    backend: str
    statistics: ModelStatistics
    results: list[tuple[Utterance, Transcription]]

    @property
    def wer(self) -> float:
        """Word error rate over all recordings, in per cent."""
        return word_error_rate(
            [count_errors(utterance.text, result.text) for utterance, result in self.results]
        )

    @property
    def duration_s(self) -> float:
        """Seconds of audio."""
        return sum(result.duration_s for _, result in self.results)

    @property
    def timing(self) -> tuple[StageTime, ...]:
        """Stages added up over all recordings."""
        return add_up(result.timing for _, result in self.results)

    @property
    def times_real_time(self) -> float:
        """Seconds of audio transcribed in one second; above 1 is faster than speech."""
        return self.duration_s / self.timing[-1].seconds


def demo_manifest() -> Path:
    """Manifest of the bundled recordings."""
    return Path(str(files("sparsespeech").joinpath("demo_audio", "manifest.jsonl")))


def demonstrate(model: str, backend: str, threads: Threads = "auto") -> Demonstration:
    """Transcribe every bundled recording; raises ModelFileError or BackendError."""
    recogniser = load(model, backend=backend, threads=threads)
    results = [
        (utterance, recogniser.transcribe(utterance.audio_filepath))
        for utterance in read_manifest(demo_manifest())
    ]
    return Demonstration(model, backend, model_statistics(recogniser.model), results)


def _facts(statistics: ModelStatistics) -> dict[str, Any]:
    names = ("parameters", "nonzeros", "sparsity", "bytes_dense_float32", "bytes_stored")
    return {name: getattr(statistics, name) for name in names}


def _figures(demonstration: Demonstration) -> dict[str, Any]:
    return {
        "model": demonstration.model,
        "backend": demonstration.backend,
        **_facts(demonstration.statistics),
        "wer": round(demonstration.wer, 2),
        "duration_s": round(demonstration.duration_s, 4),
        "times_real_time": round(demonstration.times_real_time, 3),
        "timing": timing_records(demonstration.timing),
        "utterances": [
            {
                "path": utterance.audio_filepath.name,
                "voice": utterance.speaker,
                "reference": utterance.text,
                "text": result.text,
                "duration_s": round(result.duration_s, 4),
            }
            for utterance, result in demonstration.results
        ],
    }


def _show(demonstration: Demonstration) -> None:
    console = Console()
    table = Table(title=f"Model {demonstration.model}, backend {demonstration.backend}")
    for heading in ("voice", "said", "recognised"):
        table.add_column(heading, overflow="fold")
    for utterance, result in demonstration.results:
        table.add_row(utterance.speaker, utterance.text, result.text)
    console.print(table)
    console.print(
        f"word error rate {demonstration.wer:.1f} % on {len(demonstration.results)} synthesised "
        "recordings (real speech is harder: see the README)\n"
    )
    statistics = demonstration.statistics
    dense, stored = statistics.bytes_dense_float32, statistics.bytes_stored
    console.print(
        f"{statistics.parameters:,} parameters, {statistics.nonzeros:,} nonzero weights "
        f"({statistics.sparsity:.1%} sparse)\n"
        f"{dense:,} bytes as dense float32, {stored:,} bytes stored ({dense / stored:.1f} times "
        "smaller)\n",
        highlight=False,
    )
    console.print(stage_table(demonstration.timing, demonstration.duration_s))
    console.print(
        f"{demonstration.times_real_time:.1f} times faster than real time ({END_TO_END}, "
        "one recording after the other)",
        highlight=False,
    )
