"""A corpus spoken by synthesizers, in LibriSpeech layout with a manifest.

Each utterance is a pure function of the plan and its number (:mod:`.synthesis_plan`). The corpus
is the shortest run of numbers 0, 1, ... that holds the hours asked for, so neither the number of
processes nor an interruption changes a bit.
Each recording is written atomically; a recording that exists is not spoken again.

::

    FOLDER/corpus.json                       what the corpus was made from
    FOLDER/SPEAKERS.TXT                      ID | SEX | SUBSET | MINUTES | NAME
    FOLDER/1015/0/1015-0-0007.flac           speaker / session / speaker-session-number
    FOLDER/1015/0/1015-0.trans.txt           number and upper-case transcript
    FOLDER/manifest.jsonl
"""

from __future__ import annotations

import io
import json
import multiprocessing
import multiprocessing.process
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import soundfile

from sparsespeech import atomic_file
from sparsespeech.corpora import augmentation
from sparsespeech.corpora.manifest import Utterance, write_manifest
from sparsespeech.corpora.surroundings import place_in_surroundings
from sparsespeech.corpora.synthesis_plan import SynthesisPlan, plan_utterances
from sparsespeech.corpora.synthesizers import (
    SAMPLE_RATE_HZ,
    SpeechRequest,
    require_voices,
    speak,
)
from sparsespeech.corpora.voices import Voice
from sparsespeech.errors import SynthesisError

_BATCH = 24  # utterances a task: long enough that starting festival costs little
_SETTINGS_FILE = "corpus.json"


def synthesize_corpus(
    plan: SynthesisPlan,
    hours: float,
    *,
    jobs: int = 1,
    on_progress: Callable[[float], None] | None = None,
) -> list[Utterance]:
    """Speak at least ``hours`` of audio into ``plan.folder`` with ``jobs`` processes.

    ``on_progress`` gets the seconds done so far. Returns the utterances of the manifest, which is
    written to ``manifest.jsonl``. Raises SynthesisError for missing voices, too little text, or a
    folder that holds another corpus.
    """
    if not hours > 0 or jobs < 1:
        raise SynthesisError(f"hours must be > 0 and jobs >= 1, got {hours} and {jobs}")
    if not plan.prompts:
        raise SynthesisError(
            "the text holds no usable sentence; expected sentences of plain "
            "words without digits, abbreviations or acronyms"
        )
    require_voices(plan.voices)
    _prepare_folder(plan)
    durations: list[float] = []
    total = 0.0
    for batch in _spoken_batches(plan, jobs):
        for duration in batch:
            if total < hours * 3600.0:
                durations.append(duration)
                total += duration
        if on_progress is not None:
            on_progress(total)
        if total >= hours * 3600.0:
            break
    else:
        raise SynthesisError(
            f"{len(plan.prompts)} sentences give only {total / 3600.0:.2f} of {hours} hours; "
            f"add text files or ask for fewer hours (what was spoken is kept in {plan.folder})"
        )
    return _finish(plan, durations)


def _speak_batch(plan: SynthesisPlan, first: int) -> list[float]:
    """Speak what is missing of one batch; durations in seconds of the whole batch."""
    planned = plan_utterances(plan, first, _BATCH)
    durations = [_existing_duration(plan.folder / utterance.path) for utterance in planned]
    missing = [index for index, duration in enumerate(durations) if duration is None]
    requests = [
        SpeechRequest(
            planned[index].voice,
            planned[index].prompt.spoken,
            planned[index].rate,
            planned[index].pitch,
        )
        for index in missing
    ]
    for index, samples in zip(missing, speak(requests) if requests else [], strict=True):
        if plan.augmented:
            rng = np.random.default_rng([plan.seed, planned[index].number, 1])
            samples = place_in_surroundings(samples, rng)
        else:
            samples = augmentation.limit_peak(samples)
        encoded = io.BytesIO()
        soundfile.write(encoded, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
        path = plan.folder / planned[index].path
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write_bytes(path, encoded.getvalue())
        durations[index] = len(samples) / SAMPLE_RATE_HZ
    return [duration for duration in durations if duration is not None]


def _existing_duration(path: Path) -> float | None:
    try:
        information = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError):
        return None
    return float(information.frames) / SAMPLE_RATE_HZ


def _spoken_batches(plan: SynthesisPlan, jobs: int) -> Iterator[list[float]]:
    """Durations of the batches in order; a few batches ahead are in work at any time."""
    starts = range(0, len(plan.prompts), _BATCH)
    if jobs == 1:
        for first in starts:
            yield _speak_batch(plan, first)
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_follow_parent)
    pending: list[Future[list[float]]] = []
    try:
        for first in starts:
            pending.append(executor.submit(_speak_batch, plan, first))
            if len(pending) > 2 * jobs:
                yield pending.pop(0).result()
        while pending:
            yield pending.pop(0).result()
    except BrokenProcessPool:
        raise SynthesisError(
            "a worker process died (killed, or out of memory); run the same "
            "command again to go on, perhaps with fewer --jobs"
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent process, and end when it ends, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def end_with(process: multiprocessing.process.BaseProcess) -> None:
            process.join()
            os._exit(1)

        threading.Thread(target=end_with, args=(parent,), daemon=True).start()


def _prepare_folder(plan: SynthesisPlan) -> None:
    """Claim the folder for this plan, or check that it already belongs to it."""
    settings_path = plan.folder / _SETTINGS_FILE
    if settings_path.is_file():
        try:
            found = json.loads(settings_path.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise SynthesisError(f"{settings_path}: not a JSON object; choose another --output")
        expected = plan.settings()
        different = sorted(key for key in expected if found.get(key) != expected[key])
        if different:
            raise SynthesisError(
                f"{plan.folder} holds a corpus with other settings "
                f"({', '.join(different)} differ); choose another --output"
            )
    elif plan.folder.exists() and any(plan.folder.iterdir()):
        raise SynthesisError(
            f"{plan.folder} is not empty and holds no {_SETTINGS_FILE}; choose another --output"
        )
    else:
        plan.folder.mkdir(parents=True, exist_ok=True)
        atomic_file.write_text(settings_path, json.dumps(plan.settings(), indent=2) + "\n")


def _finish(plan: SynthesisPlan, durations: Sequence[float]) -> list[Utterance]:
    """Remove what lies beyond the end; write transcripts, speakers and the manifest."""
    planned = plan_utterances(plan, 0, len(durations))
    kept = {plan.folder / utterance.path for utterance in planned}
    for leftover in (
        *plan.folder.glob("*/*/*.flac"),
        *plan.folder.glob("*/*/.*.partial"),
        *plan.folder.glob("*/*/*.trans.txt"),
    ):
        if leftover not in kept:
            leftover.unlink()
    for folder in (*plan.folder.glob("*/*/"), *plan.folder.glob("*/")):
        if not any(folder.iterdir()):
            folder.rmdir()
    transcripts: dict[Path, list[str]] = defaultdict(list)
    minutes: dict[Voice, float] = defaultdict(float)
    utterances = []
    for utterance, duration in zip(planned, durations, strict=True):
        path = plan.folder / utterance.path
        speaker, session, _ = path.stem.split("-")
        transcript_path = path.with_name(f"{speaker}-{session}.trans.txt")
        transcripts[transcript_path].append(f"{path.stem} {utterance.prompt.text.upper()}")
        minutes[utterance.voice] += duration / 60.0
        utterances.append(Utterance(path, duration, utterance.prompt.text, speaker, plan.split))
    for transcript_path, lines in transcripts.items():
        atomic_file.write_text(transcript_path, "\n".join(lines) + "\n")
    rows = [
        f"{voice.speaker:<5}| {voice.sex} | {plan.split} | {minutes[voice]:.2f} | {voice.name}"
        for voice in sorted(minutes, key=lambda voice: voice.speaker)
    ]
    atomic_file.write_text(
        plan.folder / "SPEAKERS.TXT",
        "\n".join([";ID  |SEX| SUBSET | MINUTES | NAME", *rows]) + "\n",
    )
    write_manifest(plan.folder / "manifest.jsonl", utterances)
    return utterances
