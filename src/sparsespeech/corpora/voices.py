"""The voices of Debian's synthesizers and the speakers made of them.

A voice is named ``synthesizer/base/variant``: ``flite/slt/1.06``, ``espeak/en-us/f3``,
``festival/kal_diphone/0.94``. For flite and festival the variant is a resampling factor, which
moves pitch and formants together as another throat would; for espeak-ng it is a voice variant of
the program. Each voice is one speaker with a fixed number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import SynthesisError

WARPS = ("0.88", "0.94", "1.00", "1.06", "1.12")
FLITE_VOICES = ("kal16", "awb", "rms", "slt")
FESTIVAL_VOICES = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")
ESPEAK_ACCENTS = (
    *("en-us", "en-us-nyc", "en-gb", "en-gb-scotland"),
    *("en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029"),
)
ESPEAK_VARIANTS = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5"),
    *("klatt", "klatt2", "klatt3", "klatt4", "Alex", "Alicia", "Andrea", "Andy", "Annie"),
    *("adam", "belinda", "benjamin", "boris", "linda", "steph"),
)
WOMEN = frozenset(
    {"slt", "cmu_us_slt_arctic_hts", "f1", "f2", "f3", "f4", "f5"}
    | {"Alicia", "Andrea", "Annie", "belinda", "linda", "steph"}
)

# The recorded voices (flite, festival) sound more human than espeak-ng's formants.
SHARES = {"flite": 0.42, "festival": 0.26, "espeak": 0.32}


@dataclass(frozen=True)
class Voice:
    """One speaker of a synthesised corpus."""

    synthesizer: str
    base: str
    variant: str
    speaker: int

    @property
    def name(self) -> str:
        """``synthesizer/base/variant``, the form that patterns match."""
        return f"{self.synthesizer}/{self.base}/{self.variant}"

    @property
    def sex(self) -> str:
        """``F`` or ``M``, as in LibriSpeech's SPEAKERS.TXT."""
        return "F" if self.base in WOMEN or self.variant in WOMEN else "M"

    @property
    def warp(self) -> float:
        """Factor of pitch and formants by resampling; 1 for espeak-ng."""
        return 1.0 if self.synthesizer == "espeak" else float(self.variant)


def all_voices() -> list[Voice]:
    """Every voice that this package can use, installed or not, in speaker order."""
    tables = (
        ("flite", FLITE_VOICES, WARPS, 1000),
        ("festival", FESTIVAL_VOICES, WARPS, 2000),
        ("espeak", ESPEAK_ACCENTS, ESPEAK_VARIANTS, 3000),
    )
    return [
        Voice(synthesizer, base, variant, first + 50 * row + column)
        for synthesizer, bases, variants, first in tables
        for row, base in enumerate(bases)
        for column, variant in enumerate(variants)
    ]


def select_voices(wanted: Sequence[str] = (), excluded: Sequence[str] = ()) -> list[Voice]:
    """Voices that match a ``wanted`` shell pattern (all if none) and no ``excluded`` one.

    Raises SynthesisError for a pattern that matches nothing and for an empty selection.
    """
    voices = all_voices()
    for pattern in (*wanted, *excluded):
        if not any(fnmatchcase(voice.name, pattern) for voice in voices):
            raise SynthesisError(
                f"no voice matches {pattern!r}; expected a shell pattern over names like "
                f"'flite/slt/1.00', 'festival/kal_diphone/0.94' or 'espeak/en-us/f3'"
            )
    chosen = [
        voice
        for voice in voices
        if (not wanted or any(fnmatchcase(voice.name, pattern) for pattern in wanted))
        and not any(fnmatchcase(voice.name, pattern) for pattern in excluded)
    ]
    if not chosen:
        raise SynthesisError("every voice is excluded; loosen --voices or --exclude-voices")
    return chosen


def voice_probabilities(voices: Sequence[Voice]) -> NDArray[np.float64]:
    """Share of each voice: by synthesizer, then evenly by base and variant; sums to 1."""
    weights = []
    for voice in voices:
        siblings = [other for other in voices if other.synthesizer == voice.synthesizer]
        variants = sum(other.base == voice.base for other in siblings)
        bases = len({other.base for other in siblings})
        weights.append(SHARES[voice.synthesizer] / (bases * variants))
    probabilities = np.array(weights, dtype=np.float64)
    probabilities /= probabilities.sum()
    return probabilities
