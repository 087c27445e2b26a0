"""``sparsespeech data``: manifests of corpora, synthesised corpora, text for language models."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from sparsespeech.cli.option_types import AsJson
from sparsespeech.cli.tables import print_line
from sparsespeech.corpora.manifest import Utterance, write_manifest
from sparsespeech.errors import ManifestError

app = typer.Typer(
    help="Build manifests of speech corpora, speak a corpus, train a language model.",
    no_args_is_help=True,
    add_completion=False,
)
_console = Console(stderr=True, highlight=False)

OutputManifest = Annotated[
    Path, typer.Option("--output", "-o", help="Manifest to write (JSON lines).")
]
Split = Annotated[str | None, typer.Option(help="Label of the utterances in the manifest.")]
Speakers = Annotated[
    list[str] | None, typer.Option("--speaker", help="Keep only this speaker; repeatable.")
]
ExcludedSpeakers = Annotated[
    list[str] | None, typer.Option("--exclude-speaker", help="Leave out this speaker; repeatable.")
]


class ByteOrder(StrEnum):
    """Order of the two bytes of a headerless sample."""

    LITTLE = "little"
    BIG = "big"


@app.command()
def librispeech(
    folder: Annotated[Path, typer.Argument(help="Folder in LibriSpeech layout.")],
    output: OutputManifest,
    split: Split = None,
    speaker: Speakers = None,
    exclude_speaker: ExcludedSpeakers = None,
    download: Annotated[
        list[str] | None,
        typer.Option(help="Fetch this official subset (dev-clean, ...) into FOLDER; repeatable."),
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Mirror of the archives.")] = None,
    as_json: AsJson = False,
) -> None:
    """Manifest of a corpus in LibriSpeech layout, downloaded if asked for."""
    from sparsespeech.corpora import openslr
    from sparsespeech.corpora.librispeech import read_librispeech

    folders = [folder]
    if download:
        with _byte_progress() as on_progress:
            folders = [
                openslr.download_subset(
                    subset,
                    folder,
                    base_url=base_url or openslr.BASE_URL,
                    on_progress=functools.partial(on_progress, subset),
                )
                for subset in download
            ]
    utterances = [
        utterance for place in folders for utterance in read_librispeech(place, split=split)
    ]
    _write(output, _select_speakers(utterances, speaker, exclude_speaker), as_json)


@app.command()
def an4(
    folder: Annotated[Path, typer.Argument(help="AN4's own layout, or LibriSpeech layout.")],
    output: OutputManifest,
    split: Annotated[
        str | None, typer.Option(help="Keep only this split: train, test, or dev.")
    ] = None,
    dev_speaker: Annotated[
        list[str] | None,
        typer.Option(help="Move this speaker of train to the split dev; repeatable."),
    ] = None,
    raw_byte_order: Annotated[
        ByteOrder, typer.Option(help="Byte order of headerless .raw recordings.")
    ] = ByteOrder.LITTLE,
    as_json: AsJson = False,
) -> None:
    """Manifest of CMU's AN4 corpus."""
    from sparsespeech.corpora.an4 import is_official_layout, read_an4
    from sparsespeech.corpora.librispeech import read_librispeech

    if is_official_layout(folder) or not any(folder.rglob("*.trans.txt")):
        utterances = read_an4(folder, raw_byte_order=raw_byte_order.value)
    else:
        utterances = read_librispeech(folder)
    held_out = set(dev_speaker or ())
    _require_speakers(utterances, held_out)
    utterances = [
        dataclasses.replace(utterance, split="dev")
        if utterance.speaker in held_out and utterance.split != "test"
        else utterance
        for utterance in utterances
    ]
    if split is not None:
        utterances = [utterance for utterance in utterances if utterance.split == split]
    _write(output, utterances, as_json)


@app.command("csv")
def table(
    path: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV or .tsv with a header.")],
    output: OutputManifest,
    audio_column: Annotated[str | None, typer.Option(help="Column of the recording.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the transcript.")] = None,
    duration_column: Annotated[str | None, typer.Option(help="Column of the seconds.")] = None,
    speaker_column: Annotated[str | None, typer.Option(help="Column of the speaker.")] = None,
    split_column: Annotated[str | None, typer.Option(help="Column of the split.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Keep only the rows of this split; a label if there is no such column."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=VALUE that a row must have; repeatable."),
    ] = None,
    audio_root: Annotated[
        Path | None, typer.Option(help="Folder of relative recordings (default: the table's).")
    ] = None,
    speaker: Speakers = None,
    exclude_speaker: ExcludedSpeakers = None,
    as_json: AsJson = False,
) -> None:
    """Manifest of a table: DeepSpeech's CSV, Common Voice's TSV, or any named columns."""
    from sparsespeech.corpora.table import TableColumns, read_table

    columns = TableColumns(audio_column, text_column, duration_column, speaker_column, split_column)
    conditions = {}
    for condition in where or ():
        column, sign, value = condition.partition("=")
        if not sign:
            raise typer.BadParameter(
                f"expected COLUMN=VALUE, got {condition!r}", param_hint="--where"
            )
        conditions[column] = value
    utterances = read_table(path, columns, split=split, where=conditions, audio_root=audio_root)
    _write(output, _select_speakers(utterances, speaker, exclude_speaker), as_json)


@app.command("folder")
def audio_folder(
    folder: Annotated[Path, typer.Argument(help="Recordings, each with a .txt of its name.")],
    output: OutputManifest,
    split: Split = None,
    require_text: Annotated[
        bool, typer.Option("--require-text", help="A recording without transcript is an error.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Manifest of a folder of recordings, with or without transcripts."""
    from sparsespeech.corpora.audio_folder import read_audio_folder

    _write(output, read_audio_folder(folder, split=split or "", require_text=require_text), as_json)


@app.command()
def synth(
    text: Annotated[list[Path], typer.Argument(metavar="TEXT...", help="Files of plain text.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the corpus.")],
    hours: Annotated[float, typer.Option(help="Audio to speak.")],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same corpus.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at work.")] = 1,
    voices: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of voices to use, such as 'flite/*'; repeatable."),
    ] = None,
    exclude_voices: Annotated[
        list[str] | None, typer.Option(help="Pattern of voices to hold out; repeatable.")
    ] = None,
    exclude_text: Annotated[
        list[Path] | None,
        typer.Option(help="Manifest or text whose sentences are left out; repeatable."),
    ] = None,
    augmentation: Annotated[
        bool, typer.Option(help="Vary speed, pitch, room, noise and level.")
    ] = True,
    split: Annotated[str, typer.Option(help="Label of the utterances.")] = "train",
    as_json: AsJson = False,
) -> None:
    """Speak sentences of TEXT with Debian's synthesizers, in LibriSpeech layout.

    An interrupted run goes on with the same command. Voices are named synthesizer/voice/variant:
    flite/slt/1.06, festival/kal_diphone/0.94, espeak/en-us/f3.
    """
    from sparsespeech.corpora.prompts import read_excluded_texts, read_prompts
    from sparsespeech.corpora.synthesis import synthesize_corpus
    from sparsespeech.corpora.synthesis_plan import SynthesisPlan
    from sparsespeech.corpora.voices import select_voices

    plan = SynthesisPlan(
        output,
        tuple(read_prompts(text, excluded_texts=read_excluded_texts(exclude_text or ()))),
        tuple(select_voices(voices or (), exclude_voices or ())),
        seed,
        augmentation,
        split,
    )
    with Progress(
        TextColumn("speaking"),
        BarColumn(),
        TextColumn("{task.fields[spoken]:.2f} of {task.fields[wanted]:g} h"),
        TimeRemainingColumn(),
        console=_console,
        disable=not _console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=hours * 3600.0, spoken=0.0, wanted=hours)
        utterances = synthesize_corpus(
            plan,
            hours,
            jobs=jobs,
            on_progress=lambda seconds: progress.update(
                task, completed=seconds, spoken=seconds / 3600.0
            ),
        )
    _report(output / "manifest.jsonl", utterances, as_json)


@app.command()
def vary(
    manifest: Annotated[Path, typer.Argument(help="Manifest of real recordings.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the copies.")],
    copies: Annotated[int, typer.Option(min=1, help="Copies of each recording.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same copies.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Copy recordings into other rooms, with other noise, at other speeds.

    An interrupted run goes on with the same command.
    """
    from sparsespeech.corpora.manifest import read_manifest
    from sparsespeech.corpora.variation import vary_recordings

    utterances = read_manifest(manifest)
    with Progress(
        TextColumn("varying"),
        BarColumn(),
        TimeRemainingColumn(),
        console=_console,
        disable=not _console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=len(utterances) * copies)
        varied = vary_recordings(
            utterances,
            output,
            copies=copies,
            seed=seed,
            on_progress=lambda done: progress.update(task, completed=done),
        )
    _report(output / "manifest.jsonl", varied, as_json)


@app.command("text-lm")
def text_lm(
    text: Annotated[
        list[Path],
        typer.Argument(metavar="TEXT...", help="Plain text, .trans.txt or .jsonl manifests."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="ARPA file; .gz is compressed.")],
    order: Annotated[int, typer.Option(min=1, max=6, help="Words in the longest n-gram.")] = 3,
    vocabulary: Annotated[
        int | None, typer.Option(min=1, help="Keep only this many most frequent words.")
    ] = None,
    prune: Annotated[
        str, typer.Option(help="Counts up to which n-grams are dropped, by order: 0,0,1.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Train an interpolated modified Kneser-Ney n-gram model from text."""
    from sparsespeech.corpora.language_model_text import read_sentences
    from sparsespeech.decoding.ngram_training import train_ngram

    model = train_ngram(
        read_sentences(text), order, vocabulary_size=vocabulary, prune=_parse_counts(prune)
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    model.write_arpa(output)
    if as_json:
        typer.echo(json.dumps({"arpa": str(output), "order": order, "counts": model.counts}))
    else:
        facts = ", ".join(
            f"{count} {length}-grams" for length, count in enumerate(model.counts, start=1)
        )
        print_line(_console, f"{output}: {facts}")


def _parse_counts(prune: str) -> tuple[int, ...]:
    """``0,0,1`` as numbers; a usage error unless they begin with 0 and never decrease."""
    try:
        counts = tuple(int(count) for count in prune.split(",")) if prune else ()
    except ValueError:
        counts = (-1,)
    if counts and (counts[0] != 0 or list(counts) != sorted(counts)):
        raise typer.BadParameter(
            f"expected counts that begin with 0 and do not decrease, such as 0,0,1; got {prune!r}",
            param_hint="--prune",
        )
    return counts


def _select_speakers(
    utterances: list[Utterance], wanted: list[str] | None, excluded: list[str] | None
) -> list[Utterance]:
    kept, dropped = set(wanted or ()), set(excluded or ())
    _require_speakers(utterances, kept | dropped)
    return [
        utterance
        for utterance in utterances
        if (not kept or utterance.speaker in kept) and utterance.speaker not in dropped
    ]


def _require_speakers(utterances: list[Utterance], named: set[str]) -> None:
    unknown = named - {utterance.speaker for utterance in utterances}
    if unknown:
        raise ManifestError(f"the corpus has no speaker {', '.join(sorted(unknown))}")


def _write(path: Path, utterances: list[Utterance], as_json: bool) -> None:
    if not utterances:
        raise ManifestError("the selection holds no utterances; no manifest was written")
    write_manifest(path, utterances)
    _report(path, utterances, as_json)


def _report(path: Path, utterances: list[Utterance], as_json: bool) -> None:
    """Figures of a manifest: as JSON on stdout, or as a line on stderr."""
    hours = sum(utterance.duration for utterance in utterances) / 3600.0
    speakers = len({utterance.speaker for utterance in utterances})
    if as_json:
        figures = {
            "manifest": str(path),
            "utterances": len(utterances),
            "hours": round(hours, 4),
            "speakers": speakers,
        }
        typer.echo(json.dumps(figures))
    else:
        print_line(
            _console,
            f"{path}: {len(utterances)} utterances, {hours:.2f} hours, {speakers} speakers",
        )


@contextmanager
def _byte_progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Progress bars of downloads, one a name, if stderr is a terminal."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=_console,
        disable=not _console.is_terminal,
    ) as progress:
        tasks = {}

        def on_progress(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield on_progress
