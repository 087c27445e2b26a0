from __future__ import annotations

import numpy as np
import pytest

from sparsespeech.corpora.voices import (
    SHARES,
    all_voices,
    select_voices,
    voice_probabilities,
)
from sparsespeech.errors import SynthesisError


def test_every_voice_is_a_speaker_of_its_own() -> None:
    voices = all_voices()
    assert len(voices) >= 40
    assert len({voice.speaker for voice in voices}) == len(voices)
    assert len({voice.name for voice in voices}) == len(voices)
    assert {voice.sex for voice in voices} == {"F", "M"}


def test_held_out_and_wanted_voices_divide_all_voices() -> None:
    patterns = ["flite/rms/*", "espeak/en-gb-scotland/*"]
    kept, held_out = select_voices((), patterns), select_voices(patterns)
    assert {voice.base for voice in held_out} == {"rms", "en-gb-scotland"}
    assert {voice.name for voice in kept}.isdisjoint(voice.name for voice in held_out)
    assert len(kept) + len(held_out) == len(all_voices())


def test_shares_go_by_synthesizer_then_voice_then_variant() -> None:
    voices = all_voices()
    probabilities = voice_probabilities(voices)
    assert probabilities.sum() == pytest.approx(1)
    for synthesizer, share in SHARES.items():
        chosen = [voice.synthesizer == synthesizer for voice in voices]
        assert probabilities[chosen].sum() == pytest.approx(share)
    slt = [voice.base == "slt" for voice in voices]
    assert probabilities[slt].sum() == pytest.approx(SHARES["flite"] / 4)
    few = select_voices(["flite/slt/*", "flite/awb/1.00"])
    np.testing.assert_allclose(voice_probabilities(few), [0.5, 0.1, 0.1, 0.1, 0.1, 0.1])


def test_a_pattern_that_matches_nothing_is_named() -> None:
    with pytest.raises(SynthesisError, match=r"no voice matches 'flite/nobody/\*'"):
        select_voices(["flite/nobody/*"])
    with pytest.raises(SynthesisError, match="no voice matches 'sam'"):
        select_voices((), ["sam"])
    with pytest.raises(SynthesisError, match="every voice is excluded"):
        select_voices(["flite/*"], ["*"])
