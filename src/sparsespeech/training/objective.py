"""What a step makes smaller: the CTC loss of a batch, mixed with what a teacher says.

Axes: B utterances, T frames, V labels with the CTC blank last, C characters of a batch's texts
joined.

Losses are kept apart by utterance, so that one that is not finite can be named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparsespeech.errors import NotFiniteError
from sparsespeech.training.batch_loading import SpeechBatch
from sparsespeech.training.distillation import Teacher
from sparsespeech.training.distributed import sum_over_workers


@dataclass(frozen=True, eq=False)
class BatchLoss:
    """The loss of one batch."""

    total: Tensor  # float32 scalar with its graph: what the step goes down on, nats a character
    utterances: Tensor  # float32[B], nats, without graph: what the total is the sum of
    ctc: float  # nats a character: what the log shows, with a teacher too

    def is_broken(self) -> Tensor:
        """float32 scalar, 1.0 if the total is NaN or infinite."""
        return (~torch.isfinite(self.total)).float()

    def suspects(self, workers: int = 1) -> Tensor:
        """int64[K]: places of the utterances with a loss that is not finite.

        All places where none of the ``workers``, each of which must ask, has such an utterance.
        """
        broken = ~torch.isfinite(self.utterances)
        if sum_over_workers(broken.sum(), workers) > 0:
            return torch.nonzero(broken).flatten()
        return self.largest(len(self.utterances))

    def largest(self, count: int) -> Tensor:
        """int64[K]: places of the ``count`` utterances with the largest loss."""
        return self.utterances.topk(min(count, len(self.utterances))).indices


def ctc_losses(log_probabilities: Tensor, batch: SpeechBatch, blank: int) -> Tensor:
    """Nats of each utterance, float32[B], of log-probabilities float32[T, B, V].

    Every text fits its frames: the data set leaves out the others. So an infinite loss comes
    from the network, and is not set to zero.
    """
    return nn.functional.ctc_loss(
        log_probabilities,
        batch.targets,
        batch.lengths,
        batch.target_lengths,
        blank=blank,
        reduction="none",
    )


def batch_loss(
    log_probabilities: Tensor, batch: SpeechBatch, blank: int, teacher: Teacher | None
) -> BatchLoss:
    """(1 - a) CTC + a T^2 KL in nats a character; without ``teacher`` the CTC loss alone.

    Both parts are sums over the frames of an utterance, divided by the characters of the batch:
    so a alone decides how much each counts.
    """
    ctc = ctc_losses(log_probabilities, batch, blank)
    mixed = ctc
    if teacher is not None:
        share = teacher.settings.weight
        mixed = (1.0 - share) * ctc + share * teacher.divergences(log_probabilities, batch)
    characters = batch.target_lengths.sum()
    shown = float(ctc.detach().sum() / characters)
    return BatchLoss(mixed.sum() / characters, mixed.detach(), shown)


def network_loss(
    network: Callable[[Tensor, Tensor], Tensor],
    model: nn.Module,
    batch: SpeechBatch,
    blank: int,
    teacher: Teacher | None = None,
) -> BatchLoss:
    """:func:`batch_loss` of ``network``: ``model``, or its fixed-point retraining.

    That refuses an activation that is not finite. Then ``model`` tells whose it is.
    """
    try:
        return batch_loss(network(batch.frames, batch.lengths), batch, blank, teacher)
    except NotFiniteError:
        with torch.no_grad():
            output = model(batch.frames, batch.lengths)
        return broken_loss(ctc_losses(output, batch, blank))


def broken_loss(ctc: Tensor) -> BatchLoss:
    """The loss of a batch that could not be computed; ``ctc`` float32[B] says whose fault it is."""
    return BatchLoss(ctc.new_tensor(torch.nan), ctc, torch.nan)
