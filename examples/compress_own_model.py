"""Compress a network that was written and trained in plain torch: tutorial 8 in one script.

    python examples/compress_own_model.py [FOLDER]

Every letter is a tone, so the corpus is made here and all of it takes about two minutes. The first
half stands for your own code: an nn.Linear with clipped ReLU, two stacked bidirectional nn.LSTM
layers and a last nn.Linear, trained by torch's CTC loss. The second half runs the commands of the
tutorial, which know nothing of that code but its state dict. FOLDER keeps everything; without it
a temporary folder does.
"""

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
        """Some 100,000 weights."""
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

RECIPE = """
name: own-sparse
data:
  train: [{{manifest: {folder}/train.jsonl}}]
  development: {{manifest: {folder}/test.jsonl}}
  symbols: " abcd"
  batch_frames: 1000
model: {{architecture: initial, initial: {folder}/own, features: {{context: 2}}, dropout: 0.0}}
augmentation: null
optimizer: {{steps: 400, learning_rate: 0.003, warmup_steps: 20, decay_start: 0.7}}
pruning:
  final_sparsity: 0.9
  start: 0.05
  end: 0.65
  updates: 50
  exceptions: {{^layer1\\.: 0.85, ^layer4\\.: 0.0}}
logging: {{checkpoint_every: 400, evaluate_every: 100}}
"""
COMMANDS = """
sparsespeech import {folder}/own.pt --describe {folder}/describe.yaml --output {folder}/own \
--check {folder}/train.jsonl
sparsespeech evaluate {folder}/own {folder}/test.jsonl --worst 0
sparsespeech train {folder}/own-sparse.yaml --output {folder}/own-sparse --threads 1
sparsespeech quantize {folder}/own-sparse --manifest {folder}/train.jsonl \
--output {folder}/own.safetensors
sparsespeech evaluate {folder}/own {folder}/own-sparse {folder}/own.safetensors \
{folder}/test.jsonl --worst 0
sparsespeech inspect {folder}/own.safetensors
"""


def main() -> None:
    """Train in torch, then run each command of the tutorial."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        folder.mkdir(parents=True, exist_ok=True)
        make_corpus(folder, "test", 40, seed=1)
        train_in_torch(make_corpus(folder, "train", 200, seed=0), folder)
        (folder / "own-sparse.yaml").write_text(RECIPE.format(folder=folder))
        for line in COMMANDS.format(folder=folder).strip().splitlines():
            print(f"\n$ {line}", flush=True)
            status = sparsespeech(shlex.split(line)[1:])
            if status != 0:
                sys.exit(status)


if __name__ == "__main__":
    main()
