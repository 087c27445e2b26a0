"""One worker of fixed-point retraining; run under ``torchrun`` as ``workers_driver.py FOLDER``.

The sample of ``test_ranges_of_workers.py`` is shared out unevenly. Writes, by rank, the ranges
after one batch, and then what a second batch said in which one worker's frames are not finite,
and the ranges once that was undone.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from sparsespeech.errors import ConversionError
from sparsespeech.quantization.fixed_point_retraining import FixedPointRetraining
from sparsespeech.quantization.settings import FixedPoint
from sparsespeech.training.distributed import worker_group
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint, random_frames

FRAMES = (9, 4, 15, 1, 7)  # of the utterances
SHARES = (slice(0, 3), slice(3, 5))  # of the workers
MOMENTUM = 0.6
SEED, LSTM = 4, {"projection": 5, "merge": "sum"}


def sample() -> list[torch.Tensor]:
    """Normalised frames float32[T, F] of each utterance."""
    return [
        torch.from_numpy(random_frames(seed, count)).float() for seed, count in enumerate(FRAMES)
    ]


def retraining() -> FixedPointRetraining:
    """Nothing observed yet."""
    model = build_model(random_checkpoint(SEED, hidden=6, lstm=LSTM)).train()
    return FixedPointRetraining(model, FixedPoint(), MOMENTUM)


def main() -> None:
    """Two batches, as the docstring of the module says."""
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    with worker_group() as (rank, _workers), torch.no_grad():
        mine = sample()[SHARES[rank]]
        frames = nn.utils.rnn.pad_sequence(mine, batch_first=True)
        lengths = torch.tensor([len(part) for part in mine])
        network = retraining()
        network.forward(frames, lengths)
        save_file(network.tensors(), folder / f"ranges-{rank}.safetensors")
        said = "nothing"
        if rank == 1:
            frames[1, 2] = torch.nan
        try:
            network.forward(frames, lengths)
        except ConversionError as error:
            said = str(error)
        network.undo()
        save_file(network.tensors(), folder / f"undone-{rank}.safetensors")
        (folder / f"said-{rank}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()
