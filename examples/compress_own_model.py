"""Compress a network that was written and trained in plain torch: tutorial 7 in one script.

    python examples/compress_own_model.py [FOLDER]

Every letter is a tone, so the corpus is made here and all of it takes half a minute of processor
time. The first half stands for your own code: an nn.Linear with clipped ReLU, two stacked
bidirectional nn.LSTM layers and a last nn.Linear, trained by torch's CTC loss. The second half runs
the commands of the tutorial, which know nothing of that code but its state dict. Everything stays
in FOLDER, a new temporary one unless you name it.
"""

import contextlib
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml
from torch import Tensor, nn

from sparsespeech.cli.main import main as sparsespeech
from sparsespeech.corpora.manifest import Utterance, read_manifest, write_manifest
from sparsespeech.features.context_window import context_windows
from sparsespeech.features.mfcc import MfccConfig, extract_mfcc

LETTERS = "abcd"
FEATURES = MfccConfig(context=2)  # 26 coefficients; windows of 5 frames, 130 inputs

# ---- your own code ---------------------------------------------------------------------------


class OwnNetwork(nn.Module):
    """Windows [B, T, 130] to log-probabilities [B, T, 6]: the blank, a space and four letters."""

    def __init__(self) -> None:
        """108,806 parameters."""
        super().__init__()
        self.front = nn.Linear(FEATURES.inputs, 64)
        self.memory = nn.LSTM(64, 48, num_layers=2, bidirectional=True, batch_first=True)
        self.classes = nn.Linear(96, 2 + len(LETTERS))

    def forward(self, windows: Tensor, lengths: Tensor) -> Tensor:
        """Padding beyond ``lengths`` never enters the LSTM."""
        x = self.front(windows).clamp(0, 20)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        x, _ = nn.utils.rnn.pad_packed_sequence(self.memory(packed)[0], batch_first=True)
        return self.classes(x).log_softmax(dim=-1)


def make_corpus(folder: Path, name: str, count: int, seed: int) -> Path:
    """Words of two to six letters, each 80 ms of a tone and 40 ms of silence; the manifest."""
    random = np.random.default_rng(seed)
    time = np.arange(1280) / 16000
    utterances = []
    for number in range(count):
        text = "".join(random.choice(list(LETTERS), random.integers(2, 7)))
        tones = [np.sin(2 * np.pi * (300 + 130 * LETTERS.index(letter)) * time) for letter in text]
        samples = np.concatenate([part for tone in tones for part in (0.3 * tone, np.zeros(640))])
        path = folder / f"{name}-{number}.wav"
        soundfile.write(path, samples + 0.01 * random.standard_normal(samples.size), 16000)
        utterances.append(Utterance(path, samples.size / 16000, text))
    write_manifest(folder / f"{name}.jsonl", utterances)
    return folder / f"{name}.jsonl"


def train_in_torch(manifest: Path, folder: Path) -> None:
    """Write ``own.pt``, a plain state dict, and ``describe.yaml``, what it does not say."""
    torch.manual_seed(0)
    utterances = read_manifest(manifest)
    frames = [
        extract_mfcc(soundfile.read(utterance.audio_filepath)[0], FEATURES)
        for utterance in utterances
    ]
    mean = np.concatenate(frames).mean(axis=0)
    deviation = np.concatenate(frames).std(axis=0)
    windows = [
        torch.from_numpy(context_windows((f - mean) / deviation, FEATURES.context, 0.0)).float()
        for f in frames
    ]
    symbols = " " + LETTERS
    targets = [torch.tensor([1 + symbols.index(c) for c in u.text]) for u in utterances]
    network = OwnNetwork()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(150):
        batch = torch.randperm(len(windows))[:32].tolist()
        lengths = torch.tensor([len(windows[n]) for n in batch])
        padded = nn.utils.rnn.pad_sequence([windows[n] for n in batch], batch_first=True)
        output = network(padded, lengths).transpose(0, 1)
        sizes = torch.tensor([len(targets[n]) for n in batch])
        loss = nn.functional.ctc_loss(
            output, torch.cat([targets[n] for n in batch]), lengths, sizes, blank=0
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.save(network.state_dict(), folder / "own.pt")
    description = {
        "clip": 20,
        "labels": symbols,
        "blank": "first",
        "features": {"context": FEATURES.context},
        "normalisation": {"mean": mean.tolist(), "deviation": deviation.tolist()},
    }
    (folder / "describe.yaml").write_text(yaml.safe_dump(description))


# ---- the tutorial ----------------------------------------------------------------------------

RECIPE = r"""
name: own-sparse
data:
  train: [{manifest: train.jsonl}]
  development: {manifest: test.jsonl}
  symbols: " abcd"
  batch_frames: 1000
model: {architecture: initial, initial: own, features: {context: 2}, dropout: 0.0}
augmentation: null
optimizer: {steps: 400, learning_rate: 0.003, warmup_steps: 20, decay_start: 0.7}
pruning:
  final_sparsity: 0.9
  start: 0.05
  end: 0.65
  updates: 50
  exceptions: {^layer1\.: 0.85, ^layer4\.: 0.0}
logging: {checkpoint_every: 400, evaluate_every: 100}
"""
COMMANDS = """
sparsespeech import own.pt --describe describe.yaml --output own --check train.jsonl
sparsespeech evaluate own test.jsonl
sparsespeech train own-sparse.yaml --output own-sparse
sparsespeech quantize own-sparse --manifest train.jsonl --output own.safetensors
sparsespeech evaluate own own-sparse own.safetensors test.jsonl
sparsespeech inspect own.safetensors
sparsespeech transcribe test-0.wav --model own.safetensors
"""


def main() -> None:
    """Train in torch, then run each command of the tutorial."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):
        make_corpus(Path(), "test", 40, seed=1)
        train_in_torch(make_corpus(Path(), "train", 200, seed=0), Path())
        Path("own-sparse.yaml").write_text(RECIPE)
        for line in COMMANDS.strip().splitlines():
            print(f"\n$ {line}", flush=True)
            status = sparsespeech(shlex.split(line)[1:])
            if status != 0:
                sys.exit(status)
    print(f"\neverything is in {folder}")


if __name__ == "__main__":
    main()
