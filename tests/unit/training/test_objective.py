"""The loss of a batch: CTC against a sum over all alignments, the teacher's share, blame."""

import itertools
import math

import numpy as np
import pytest
import torch

from sparsespeech.errors import ConversionError, NotFiniteError
from sparsespeech.training import objective
from sparsespeech.training.batch_loading import SpeechBatch
from sparsespeech.training.objective import batch_loss, broken_loss, ctc_losses, network_loss

BLANK = 2
TEXTS = [[0, 0], [1], [0, 1]]
LENGTHS = [4, 3, 5]


@pytest.fixture
def batch() -> SpeechBatch:
    return SpeechBatch(
        torch.zeros(3, max(LENGTHS), 1),
        torch.tensor(LENGTHS),
        torch.tensor([label for text in TEXTS for label in text]),
        torch.tensor([len(text) for text in TEXTS]),
        np.array([7, 1, 4]),
    )


@pytest.fixture
def scores() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(max(LENGTHS), 3, 3).log_softmax(dim=-1)


class FixedTeacher:
    """Stands in for a teacher: the divergences are given."""

    def __init__(self, weight: float) -> None:
        self.settings = type("Settings", (), {"weight": weight})

    def divergences(self, log_probabilities: torch.Tensor, batch: SpeechBatch) -> torch.Tensor:
        return torch.tensor([1.0, 2.0, 4.0])


def all_alignments(scores: torch.Tensor, text: list[int], length: int) -> float:
    """Nats, by listing every path of labels that reads as ``text``."""
    total = 0.0
    for path in itertools.product(range(3), repeat=length):
        read = [label for label, _ in itertools.groupby(path) if label != BLANK]
        if read == text:
            total += math.exp(sum(float(scores[t, label]) for t, label in enumerate(path)))
    return -math.log(total)


def test_losses_are_sums_over_all_alignments(scores: torch.Tensor, batch: SpeechBatch) -> None:
    expected = [
        all_alignments(scores[:, place], text, length)
        for place, (text, length) in enumerate(zip(TEXTS, LENGTHS, strict=True))
    ]
    losses = ctc_losses(scores, batch, BLANK)
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-5)
    loss = batch_loss(scores, batch, BLANK, None)
    assert float(loss.total) == pytest.approx(sum(expected) / 5, rel=1e-5)
    assert loss.ctc == pytest.approx(sum(expected) / 5, rel=1e-5)
    assert loss.is_broken().item() == 0.0


def test_a_teacher_takes_its_share(scores: torch.Tensor, batch: SpeechBatch) -> None:
    ctc = batch_loss(scores, batch, BLANK, None)
    mixed = batch_loss(scores, batch, BLANK, FixedTeacher(0.25))  # type: ignore[arg-type] # a stand-in
    assert float(mixed.total) == pytest.approx(0.75 * float(ctc.total) + 0.25 * 7 / 5)
    assert mixed.ctc == ctc.ctc  # the log shows CTC alone
    assert mixed.utterances[1] == pytest.approx(0.75 * float(ctc.utterances[1]) + 0.5)


def test_the_guilty_are_told_apart(scores: torch.Tensor, batch: SpeechBatch) -> None:
    scores[1, 2] = torch.nan
    loss = batch_loss(scores, batch, BLANK, None)
    assert loss.is_broken().item() == 1.0
    assert loss.suspects().tolist() == [2]
    # Where no loss tells, all are suspects.
    assert sorted(broken_loss(torch.ones(3)).suspects().tolist()) == [0, 1, 2]
    assert broken_loss(torch.ones(3)).is_broken().item() == 1.0


def test_a_healthy_worker_names_nobody_if_another_has_the_guilty(
    scores: torch.Tensor, batch: SpeechBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = torch.tensor(1)
    monkeypatch.setattr(objective, "sum_over_workers", lambda values, workers: values + elsewhere)
    loss = batch_loss(scores, batch, BLANK, None)
    assert loss.suspects(workers=2).tolist() == []
    elsewhere.zero_()
    assert sorted(loss.suspects(workers=2).tolist()) == [0, 1, 2]


def test_an_impossible_text_is_not_hidden_as_zero(scores: torch.Tensor, batch: SpeechBatch) -> None:
    scores[:, 1, 1] = -math.inf
    assert batch_loss(scores, batch, BLANK, None).suspects().tolist() == [1]


def test_the_largest_losses_come_first(scores: torch.Tensor, batch: SpeechBatch) -> None:
    loss = batch_loss(scores, batch, BLANK, None)
    order = sorted(range(3), key=lambda place: -float(loss.utterances[place]))
    assert loss.largest(2).tolist() == order[:2]
    assert loss.largest(9).tolist() == order


class FixedNetwork(torch.nn.Module):
    """Gives its scores, or raises its error, whatever it hears."""

    def __init__(self, result: torch.Tensor | Exception) -> None:
        super().__init__()
        self.result = result

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def test_only_an_activation_that_is_not_finite_makes_a_broken_loss(
    scores: torch.Tensor, batch: SpeechBatch
) -> None:
    model, sick = FixedNetwork(scores), FixedNetwork(NotFiniteError("layer1"))
    loss = network_loss(sick, model, batch, BLANK)
    assert loss.is_broken().item() == 1.0
    assert torch.equal(loss.utterances, ctc_losses(scores, batch, BLANK))
    with pytest.raises(ConversionError, match="no range"):
        network_loss(FixedNetwork(ConversionError("no range")), model, batch, BLANK)
