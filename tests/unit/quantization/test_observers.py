"""Moving averages against numbers worked out by hand."""

import pytest
import torch

from sparsespeech.errors import ConversionError
from sparsespeech.quantization.observers import ActivationRange, MovingAverageObserver


def _observe(momentum: float, *tensors: list[float]) -> ActivationRange:
    observer = MovingAverageObserver(momentum)
    for values in tensors:
        observer.observe(torch.tensor(values))
    return observer.range()


def test_the_first_tensor_alone_gives_its_own_range() -> None:
    assert _observe(0.75, [-1.5, 0.0, 3.0]) == ActivationRange(-1.5, 3.0)


def test_weights_fall_by_the_momentum_from_tensor_to_tensor() -> None:
    # Weights 1/4, 1/2, 1 of the maxima 4, 2, 1 and minima -8, 0, 0; their sum is 7/4.
    found = _observe(0.5, [4.0, -8.0], [2.0, 0.0], [1.0, 0.0])
    assert found.maximum == pytest.approx((4 / 4 + 2 / 2 + 1) / (7 / 4), rel=1e-12)
    assert found.minimum == pytest.approx(-8 / 4 / (7 / 4), rel=1e-12)


def test_momentum_0_keeps_only_the_last() -> None:
    assert _observe(0.0, [-9.0, 9.0], [-1.0, 2.0]) == ActivationRange(-1.0, 2.0)


def test_one_loud_utterance_of_a_hundred_moves_the_range_by_about_a_hundredth() -> None:
    observer = MovingAverageObserver()
    for number in range(100):
        observer.observe(torch.tensor([0.0, 1000.0 if number == 50 else 10.0]))
    assert 15.0 < observer.range().maximum < 25.0


def test_a_range_is_widened_to_hold_zero() -> None:
    positive = ActivationRange(2.0, 5.1).parameters()
    assert (positive.scale, positive.zero_point) == (5.1 / 255, 0)
    negative = ActivationRange(-2.55, -1.0).parameters()
    assert (negative.scale, negative.zero_point) == (2.55 / 255, 255)


def test_an_empty_tensor_changes_nothing() -> None:
    assert _observe(0.9, [], [-1.0, 1.0], []) == ActivationRange(-1.0, 1.0)


def test_nothing_observed_is_an_error() -> None:
    with pytest.raises(ConversionError, match="long enough"):
        _observe(0.9, [])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ConversionError, match="not finite"):
        _observe(0.9, [0.0, value, 1.0])


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_an_impossible_momentum_is_refused(momentum: float) -> None:
    with pytest.raises(ValueError, match="momentum"):
        MovingAverageObserver(momentum)


def test_a_restored_observer_goes_on_with_the_same_bits() -> None:
    whole, first, second = (MovingAverageObserver(0.9) for _ in range(3))
    tensors = [torch.tensor([number / 3, -1 / (number + 1)]) for number in range(5)]
    for tensor in tensors:
        whole.observe(tensor)
    for tensor in tensors[:2]:
        first.observe(tensor)
    second.restore(first.state())
    assert second.count == 2
    for tensor in tensors[2:]:
        second.observe(tensor)
    assert second.range() == whole.range()
    assert torch.equal(second.state(), whole.state())


def test_a_state_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        MovingAverageObserver().restore(torch.zeros(3))


def test_a_range_in_wide_mode_is_symmetric() -> None:
    found = ActivationRange(-3.2767, 1.0).parameters(16)
    assert (found.zero_point, found.minimum, found.maximum) == (0, -32768, 32767)
    assert found.scale == pytest.approx(1e-4)
