"""Speak the bundled demo recordings again: own sentences, voices of flite and espeak-ng.

    python examples/make_demo_audio.py src/sparsespeech/demo_audio

Needs the Debian packages flite and espeak-ng. The recordings are 16 kHz FLAC at one level, with a
little silence around the speech; manifest.jsonl holds the sentences.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from sparsespeech.corpora.manifest import Utterance, write_manifest
from sparsespeech.corpora.synthesizers import SAMPLE_RATE_HZ, SpeechRequest, require_voices, speak
from sparsespeech.corpora.voices import select_voices

SENTENCES = {
    "flite/slt/1.00": "please call me back tomorrow morning",
    "flite/awb/1.00": "the train to the city leaves at half past nine",
    "flite/kal16/1.00": "turn off the lights in the kitchen",
    "flite/rms/1.00": "she said that the water was cold and clear",
    "espeak/en-us/m3": "i would like a cup of tea and some bread",
    "espeak/en-gb/f2": "we are going to see my mother on sunday",
    "espeak/en-gb-scotland/m1": "how much time do we have before dinner",
}
PEAK = 0.5  # of full scale
SILENCE_S = 0.15  # before and after the speech
SPEECH_LEVEL = 0.01  # of the peak; below it the synthesizers' own margins are cut off


def main() -> None:
    """Write the recordings and their manifest into the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)

    voices = [select_voices([name])[0] for name in SENTENCES]
    require_voices(voices)
    spoken = speak(
        [
            SpeechRequest(voice, sentence)
            for voice, sentence in zip(voices, SENTENCES.values(), strict=True)
        ]
    )
    utterances = []
    for number, (voice, samples) in enumerate(zip(voices, spoken, strict=True), start=1):
        path = folder / f"{number}-{voice.synthesizer}-{voice.base}.flac"
        framed = frame_speech(samples)
        soundfile.write(path, framed, SAMPLE_RATE_HZ, subtype="PCM_16", compression_level=1.0)
        seconds = len(framed) / SAMPLE_RATE_HZ
        utterances.append(Utterance(path, seconds, SENTENCES[voice.name], voice.name, "demo"))
    write_manifest(folder / "manifest.jsonl", utterances)


def frame_speech(samples: np.ndarray) -> np.ndarray:
    """Bring the speech to PEAK and put SILENCE_S on both sides; float32[n]."""
    level = np.abs(samples) / np.abs(samples).max()
    loud = np.flatnonzero(level > SPEECH_LEVEL)
    speech = samples[loud[0] : loud[-1] + 1] * (PEAK / np.abs(samples).max())
    silence = np.zeros(round(SILENCE_S * SAMPLE_RATE_HZ), dtype=np.float32)
    return np.concatenate((silence, speech, silence)).astype(np.float32)


if __name__ == "__main__":
    main()
