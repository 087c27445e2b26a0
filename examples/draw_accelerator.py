"""Draw the pictures of docs/accelerator.md: compile DeepSpeech with random weights and run it.

    python examples/draw_accelerator.py docs/pictures

The network is 2,048 wide, 4 % of its weights are not zero, and one second of speech runs on the
accelerator of the MAU paper, in both mappings. Takes about a minute; needs matplotlib.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.benchmarks.random_models import random_integer_model
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import Mapping
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import deepspeech
from sparsespeech.model_file.model import InputQuantization, IntegerModel
from sparsespeech.report.accelerator_diagrams import draw_accelerator
from sparsespeech.simulator.machine import Run
from sparsespeech.simulator.simulator import Simulator

DENSITY = 0.04
CALIBRATION_FRAMES = 4  # timing does not depend on values
MAPPINGS: tuple[Mapping, ...] = ("paper", "interleaved")


def main() -> None:
    """Write the pictures into the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hidden", type=int, default=2048, help="width of the network")
    parser.add_argument("--frames", type=int, default=50, help="length of the utterance")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    model = random_model(options.hidden)
    runs = tuple(run_on_accelerator(model, mapping, options.frames) for mapping in MAPPINGS)
    for picture in draw_accelerator(options.folder, runs):
        print(picture)


def random_model(hidden: int) -> IntegerModel:
    """DeepSpeech with random weights at random places."""
    graph = deepspeech(hidden)
    rng = np.random.default_rng(1)
    return random_integer_model(
        graph,
        rng.integers(0, 256, (CALIBRATION_FRAMES, 494)).astype(np.uint8),
        features=MfccConfig().to_json(),
        input_quantization=InputQuantization(np.zeros(26), np.ones(26), 1.0, 128),
        labels=tuple(" abcdefghijklmnopqrstuvwxyz'"),
        density=DENSITY,
    )


def run_on_accelerator(model: IntegerModel, mapping: Mapping, frames: int) -> Run:
    """One utterance on the simulator, on the accelerator of the MAU paper."""
    return Simulator(lower(model, TARGETS["mau-stratix10"], mapping)).timing([[frames]])


if __name__ == "__main__":
    main()
