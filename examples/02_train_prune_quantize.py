"""Train, prune and quantize a tiny network on tones in half a minute, all from Python.

    python examples/02_train_prune_quantize.py

Every letter is a tone, so the corpus is made here and needs no synthesizer. The steps are those
of tutorial 2; a real corpus differs in its manifest only.
"""

import tempfile
from pathlib import Path

import numpy as np
import soundfile
from rich.progress import Progress

import sparsespeech as ss
from sparsespeech.corpora.manifest import Utterance, read_manifest, write_manifest
from sparsespeech.model_file.writer import write_model
from sparsespeech.quantization.post_training import quantize_checkpoint
from sparsespeech.quantization.precision import EIGHT_BIT
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import parse_recipe


def speak(text: str, random: np.random.Generator) -> np.ndarray:
    """float32[n] at 16 kHz: 80 ms of the letter's tone, then 40 ms of silence."""
    time = np.arange(1280) / 16000
    tones = [0.3 * np.sin(2 * np.pi * (300 + 130 * (ord(c) - ord("a"))) * time) for c in text]
    samples = np.concatenate([part for tone in tones for part in (tone, np.zeros(640))])
    return (samples + 0.002 * random.standard_normal(samples.size)).astype(np.float32)


def make_corpus(folder: Path) -> Path:
    """Forty words of the letters a to d; returns the manifest."""
    random = np.random.default_rng(0)
    utterances = []
    for number in range(40):
        text = "".join(random.choice(list("abcd"), random.integers(2, 7)))
        path = folder / f"{number}.wav"
        soundfile.write(path, speak(text, random), 16000)
        utterances.append(Utterance(path, 0.12 * len(text), text))
    write_manifest(folder / "manifest.jsonl", utterances)
    return folder / "manifest.jsonl"


def main() -> None:
    """Corpus, training with pruning, conversion, transcription of a new word."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_corpus(folder)
        source = {"manifest": str(manifest)}
        recipe = parse_recipe(
            {
                "name": "tones",
                "data": {"train": [source], "development": source, "symbols": " abcd"},
                "model": {"hidden": 32, "dropout": 0.0, "features": {"context": 2}},
                "augmentation": None,
                "optimizer": {"steps": 300, "learning_rate": 0.01, "decay_start": 0.8},
                "pruning": {"final_sparsity": 0.7, "start": 0.5, "end": 0.75},
            },
            "this example",
        )
        checkpoint = train(recipe, folder / "run", threads=1)
        model = folder / "tones.safetensors"
        with Progress(disable=True) as silent:
            result = quantize_checkpoint(
                load_checkpoint(checkpoint),
                read_manifest(manifest),
                count=20,
                seed=0,
                precision=EIGHT_BIT,
                progress=silent,
            )
        write_model(result.conversion.model, model)
        heard = ss.load(model).transcribe(speak("badcab", np.random.default_rng(7)))
        print(f"said badcab, recognised {heard.text}")


if __name__ == "__main__":
    main()
