"""The fixed utterances on which a sensitivity scan measures the CTC loss.

Axes: T frames, F coefficients, C characters of a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.audio.reading import read_audio
from sparsespeech.corpora.manifest import Utterance
from sparsespeech.decoding.alphabet import Alphabet, normalise_transcript
from sparsespeech.errors import ManifestError
from sparsespeech.quantization.calibrate import choose_utterances
from sparsespeech.training.batch_loading import SpeechBatch
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.dataset import frames_needed
from sparsespeech.training.float_recogniser import normalised_frames
from sparsespeech.training.objective import ctc_losses

BATCH_FRAMES = 8000  # padded frames of a batch: bounds the memory of a wide network


@dataclass(frozen=True, eq=False)
class ScanSample:
    """The chosen utterances in batches of similar length; their ``numbers`` are in choice order.

    ``digest`` is SHA-256 of their features and texts.
    """

    batches: tuple[SpeechBatch, ...]
    utterances: int
    characters: int
    blank: int
    digest: str

    def loss(self, model: DeepSpeech) -> float:
        """CTC loss in nats a character, float32, over the whole sample."""
        device = next(model.parameters()).device
        total = 0.0
        with torch.no_grad():
            for batch in self.batches:
                scores = model(batch.frames.to(device), batch.lengths.to(device))
                total += ctc_losses(scores.cpu(), batch, self.blank).sum().item()
        return total / self.characters


def choose_sample(
    checkpoint: Checkpoint,
    utterances: Sequence[Utterance],
    *,
    count: int,
    seed: int,
    progress: Progress,
) -> ScanSample:
    """``count`` of ``utterances`` (all, if there are fewer) in an order fixed by ``seed``.

    Utterances that no alignment fits (no text, or a text longer than its frames) are passed
    over. Raises ManifestError if none is left or a text is outside the alphabet, AudioError for
    a bad recording.
    """
    alphabet = Alphabet(checkpoint.labels)
    order = choose_utterances(utterances, len(utterances), seed)
    task = progress.add_task("features", total=min(count, len(order)))
    found: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
    for utterance in order:
        if len(found) == count:
            break
        target = _target(utterance, alphabet)
        samples = read_audio(utterance.audio_filepath, checkpoint.features.sample_rate_hz).samples
        frames = normalised_frames(samples, checkpoint)
        if target.size and frames_needed(target) <= len(frames):
            found.append((frames, target))
            progress.advance(task)
    if not found:
        raise ManifestError(
            f"none of {len(order)} utterances is long enough for its text; choose another manifest"
        )
    digest = hashlib.sha256()
    for frames, target in found:
        digest.update(frames.tobytes() + target.tobytes())
    characters = sum(int(target.size) for _, target in found)
    return ScanSample(_batches(found), len(found), characters, alphabet.blank, digest.hexdigest())


def _target(utterance: Utterance, alphabet: Alphabet) -> NDArray[np.int64]:
    text = normalise_transcript(utterance.text)
    unknown = alphabet.unknown_characters(text)
    if unknown:
        raise ManifestError(
            f"transcript of {utterance.audio_filepath} holds {sorted(unknown)}, which the "
            f"checkpoint's alphabet {''.join(alphabet.symbols)!r} lacks"
        )
    return alphabet.encode(text)


def _batches(
    utterances: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]],
) -> tuple[SpeechBatch, ...]:
    groups: list[list[int]] = [[]]
    for number in sorted(range(len(utterances)), key=lambda number: len(utterances[number][0])):
        if groups[-1] and len(utterances[number][0]) * (len(groups[-1]) + 1) > BATCH_FRAMES:
            groups.append([])
        groups[-1].append(number)
    return tuple(
        SpeechBatch.of(
            [torch.from_numpy(utterances[number][0]) for number in group],
            [utterances[number][1] for number in group],
            np.array(group),
        )
        for group in groups
    )
