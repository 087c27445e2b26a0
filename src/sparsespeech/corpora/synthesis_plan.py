"""What a synthesised corpus is made from, and what each of its utterances will be.

Utterance number n is a pure function of (seed, n, voices, prompts): prompt n of the seeded order,
a drawn voice, rate and pitch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparsespeech.corpora.prompts import Prompt
from sparsespeech.corpora.voices import Voice, voice_probabilities

_FORMAT = 1
_UTTERANCES_PER_SESSION = 10000
_RATES = (0.75, 1.15)  # the synthesizers' own rates are faster than most readers
_PITCHES = (0.85, 1.18)


@dataclass(frozen=True)
class SynthesisPlan:
    """All that a corpus depends on but its length; picklable for worker processes."""

    folder: Path
    prompts: tuple[Prompt, ...]
    voices: tuple[Voice, ...]
    seed: int
    augmented: bool = True
    split: str = "train"

    def settings(self) -> dict[str, object]:
        """What ``corpus.json`` records; two plans with equal settings make equal recordings."""
        text = "\n".join(prompt.spoken for prompt in self.prompts)
        return {
            "format": _FORMAT,
            "seed": self.seed,
            "augmented": self.augmented,
            "voices": [voice.name for voice in self.voices],
            "prompts": len(self.prompts),
            "prompts_sha256": hashlib.sha256(text.encode("utf-8")).hexdigest(),
        }


@dataclass(frozen=True)
class PlannedUtterance:
    """One utterance before it is spoken."""

    number: int
    prompt: Prompt
    voice: Voice
    rate: float
    pitch: float

    @property
    def path(self) -> Path:
        """Place of the recording below the corpus folder."""
        session, index = divmod(self.number, _UTTERANCES_PER_SESSION)
        speaker = self.voice.speaker
        return Path(f"{speaker}/{session}/{speaker}-{session}-{index:04d}.flac")


def plan_utterances(plan: SynthesisPlan, first: int, count: int) -> list[PlannedUtterance]:
    """Utterances ``first`` .. ``first + count - 1`` (fewer at the end of the prompts)."""
    order = np.random.default_rng(plan.seed).permutation(len(plan.prompts))
    probabilities = voice_probabilities(plan.voices)
    planned = []
    for number in range(first, min(first + count, len(order))):
        rng = np.random.default_rng([plan.seed, number, 0])
        voice = plan.voices[int(rng.choice(len(plan.voices), p=probabilities))]
        rate = float(np.exp(rng.uniform(*np.log(_RATES))))
        pitch = float(np.exp(rng.uniform(*np.log(_PITCHES))))
        if not plan.augmented:
            rate = pitch = 1.0
        planned.append(
            PlannedUtterance(number, plan.prompts[int(order[number])], voice, rate, pitch)
        )
    return planned
