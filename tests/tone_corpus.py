"""A corpus that a tiny network can learn: every letter is a tone of its own."""

from pathlib import Path

import numpy as np
import soundfile

from sparsespeech.corpora.manifest import Utterance, write_manifest

SAMPLE_RATE_HZ = 16000


def speak(text: str, random: np.random.Generator) -> np.ndarray:
    """float32[n]: 80 ms of a tone for a letter, of silence for a space."""
    time = np.arange(int(0.08 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    parts = []
    for character in text:
        hertz = 300 + 130 * (ord(character) - ord("a"))
        parts.append(
            np.zeros(time.size) if character == " " else 0.3 * np.sin(6.2832 * hertz * time)
        )
        parts.append(np.zeros(time.size // 2))
    samples = np.concatenate(parts)
    return (samples + 0.002 * random.standard_normal(samples.size)).astype(np.float32)


def write_corpus(folder: Path, utterances: int, seed: int = 0, letters: str = "abcd") -> Path:
    """Recordings and manifest of random words; returns the manifest's path."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(utterances):
        words = [
            "".join(random.choice(list(letters), random.integers(1, 5)))
            for _ in range(random.integers(1, 3))
        ]
        text = " ".join(words)
        samples = speak(text, random)
        path = folder / f"{number:04d}.wav"
        soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
        rows.append(Utterance(path, samples.size / SAMPLE_RATE_HZ, text, f"s{number % 3}", "train"))
    manifest = folder / "manifest.jsonl"
    write_manifest(manifest, rows)
    return manifest


def tiny_recipe(manifest: Path, **changes: object) -> dict[str, object]:
    """Plain values of a recipe that trains in about a second and uses every feature."""
    values: dict[str, object] = {
        "name": "tiny",
        "data": {
            "train": [{"manifest": str(manifest)}],
            "development": {"manifest": str(manifest)},
            "batch_frames": 250,
            "symbols": " abcd",
        },
        "model": {"hidden": 16, "dropout": 0.1, "features": {"context": 2}},
        "optimizer": {"steps": 30, "learning_rate": 0.01, "warmup_steps": 5, "decay_start": 0.7},
        "pruning": {"final_sparsity": 0.8, "start": 0.2, "end": 0.6, "updates": 5},
        "logging": {
            "checkpoint_every": 4,
            "evaluate_every": 15,
            "evaluate_utterances": 5,
            "log_every": 5,
        },
    }
    return {**values, **changes}
