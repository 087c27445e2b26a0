"""How good the network is on development speech: word error rate and CTC loss."""

from __future__ import annotations

from collections.abc import Callable

import jiwer
import numpy as np
import torch
from torch import Tensor

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.training.batch_loading import Normalisation, SpeechBatch
from sparsespeech.training.dataset import SpeechDataset
from sparsespeech.training.objective import ctc_losses


def development_figures(
    network: Callable[[Tensor, Tensor], Tensor],
    dataset: SpeechDataset,
    normalisation: Normalisation,
    alphabet: Alphabet,
    count: int,
    device: torch.device,
) -> dict[str, float]:
    """``development_wer`` in per cent, greedy, and ``development_loss`` in nats a character.

    At most ``count`` utterances serve, each alone. ``network`` gives log-probabilities
    [T, 1, V] of frames [1, T, F] and lengths [1].
    """
    # Spread over the manifest, which is often sorted by speaker.
    chosen = np.linspace(0, len(dataset) - 1, min(len(dataset), count)).astype(int)
    hypotheses, nats, characters = [], 0.0, 0
    with torch.no_grad():
        for number in chosen:
            frames = normalisation(dataset.utterance_frames(number))[None].to(device)
            target = torch.from_numpy(dataset.targets[number])
            batch = SpeechBatch(
                frames,
                torch.tensor([frames.shape[1]], device=device),
                target.to(device),
                torch.tensor([len(target)], device=device),
                np.array([number]),
            )
            output = network(batch.frames, batch.lengths)
            hypotheses.append(greedy_decode(output[:, 0].cpu().numpy(), alphabet).text)
            nats += ctc_losses(output, batch, alphabet.blank).item()
            characters += len(target)
    texts = [dataset.texts[number] for number in chosen]
    return {
        "development_wer": 100 * float(jiwer.wer(texts, hypotheses)),
        "development_loss": nats / characters,
    }
