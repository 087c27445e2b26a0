"""Fixed-point retraining against autograd by hand, calibration and the integer model."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.acoustic_model.recurrent import SaturatingLstm
from sparsespeech.acoustic_model.step_rounding import Grid, StepRounding
from sparsespeech.errors import ConversionError
from sparsespeech.graph import Graph, Linear, Output
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.quantization.calibrate import Calibration, calibrate, trained_calibration
from sparsespeech.quantization.convert import convert
from sparsespeech.quantization.fixed_point_retraining import FixedPointRetraining
from sparsespeech.quantization.observers import MovingAverageObserver
from sparsespeech.quantization.post_training import emulate
from sparsespeech.quantization.settings import FixedPoint
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint, random_frames

EIGHT = FixedPoint()
WIDE = FixedPoint(weight_bits=16, activation_bits=16)
MODES = [EIGHT, FixedPoint(per_row=True), FixedPoint(weight_bits=12, activation_bits=16), WIDE]
LSTMS: list[dict[str, Any]] = [
    {},
    {"projection": 5, "peephole": True},
    {"projection": 5, "merge": "sum"},
    {"merge": "sum", "peephole": True},
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# ---- values and gradients ----------------------------------------------------------------------


@pytest.mark.parametrize("settings", MODES, ids=lambda s: s.precision.label)
def test_forward_and_gradients_are_those_of_straight_through_rounding_by_hand(
    settings: FixedPoint,
) -> None:
    """One clipped layer and the output layer, written out with ``x + (rounded - x).detach()``."""
    graph = Graph((Linear("layer1", 15, 8, clip=2.0), Output("layer2", 8, 4)))
    torch.manual_seed(3)
    model = DeepSpeech(graph, context=1, coefficients=5).double()
    model.layer1.bias.data.normal_()  # type: ignore[operator, union-attr]  # a parameter
    frames = torch.from_numpy(random_frames(2, 12)).reshape(2, 6, 5)
    lengths = torch.tensor([6, 6])
    retraining = FixedPointRetraining(model, settings, momentum=0.5)
    found = retraining.forward(frames, lengths)
    found[..., 1].sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()

    weights = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    x = _by_hand(frames, [frames[0], frames[1]], settings)
    x = model.windows(x)
    hidden = x @ _weights_by_hand(weights["layer1.weight"], settings).T + weights["layer1.bias"]
    hidden = hidden.clamp(0.0, 2.0)
    hidden = _by_hand(hidden, [hidden[:, 0], hidden[:, 1]], settings)
    logits = hidden @ _weights_by_hand(weights["layer2.weight"], settings).T
    expected = (logits + weights["layer2.bias"]).float().log_softmax(-1)
    expected[..., 1].sum().backward()
    assert found.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-6)
    for name, weight in weights.items():
        assert gradients[name] is not None and weight.grad is not None
        assert gradients[name].numpy() == pytest.approx(weight.grad.numpy(), abs=1e-6), name


def _weights_by_hand(weights: Tensor, settings: FixedPoint) -> Tensor:
    largest = {8: 127, 12: 2047, 16: 32767}[settings.weight_bits]
    peak = weights.detach().abs().amax(dim=1, keepdim=True)
    step = (peak if settings.per_row else peak.max()) / largest
    rounded = (weights.detach() / step + 0.5).floor() * step
    return weights + (rounded - weights.detach())


def _by_hand(x: Tensor, utterances: list[Tensor], settings: FixedPoint) -> Tensor:
    """Rounded to the moving average (momentum 1/2: weights 1/3, 2/3) of two utterances' ranges."""
    low = sum(w * u.detach().min().item() for w, u in zip((1, 2), utterances, strict=True)) / 3
    high = sum(w * u.detach().max().item() for w, u in zip((1, 2), utterances, strict=True)) / 3
    low, high = min(low, 0.0), max(high, 0.0)
    if settings.activation_bits == 16:
        step, first, last = max(-low, high) / 32767, -32768, 32767
    else:
        step = (high - low) / 255
        zero_point = math.floor(-low / step + 0.5)
        first, last = -zero_point, 255 - zero_point
    steps = (x.detach() / step + 0.5).floor()
    inside = (steps >= first) & (steps <= last)
    rounded = steps.clamp(first, last) * step
    return torch.where(inside, x + (rounded - x.detach()), rounded)


@pytest.mark.parametrize("lstm", LSTMS, ids=str)
@pytest.mark.parametrize("settings", MODES, ids=lambda s: s.precision.label)
def test_the_frozen_network_is_nearer_to_the_integer_model_than_the_float_network(
    settings: FixedPoint, lstm: dict[str, Any]
) -> None:
    """What is left is float32, the sigmoid's table and the rounding of the biases."""
    checkpoint = random_checkpoint(
        5, hidden=16, sparsity=0.3, labels=6, bidirectional=True, lstm=lstm
    )
    model = build_model(checkpoint)
    sample = [random_frames(seed, 30) for seed in range(6)]
    retraining = _trained_on(model, settings, sample)
    retraining.freeze()
    calibration = _calibration_of(checkpoint, retraining)
    emulation = emulate(checkpoint, calibration, settings.precision)
    logits, windows = [], []
    for frames in sample:
        windows.append(emulation.windows(torch.from_numpy(frames)))
        logits.append(emulation.run(windows[-1])["layer6"].dequantize().log_softmax(-1))
    exact, rounded = [], []
    with torch.no_grad():
        for frames in sample:
            batch = torch.from_numpy(frames).float()[None], torch.tensor([len(frames)])
            exact.append(model(*batch)[:, 0])
            rounded.append(retraining.forward(*batch)[:, 0])
    far = _mean_square(logits, exact)
    near = _mean_square(logits, rounded)
    assert near < far / 3
    # The oracle itself: those logits are the reference executor's.
    integers = ReferenceExecutor(convert(checkpoint, calibration, settings.precision).model).run(
        windows[0].numpy()
    )
    assert np.array_equal(emulation.run(windows[0])["layer6"].integers.numpy(), integers)


def _mean_square(first: list[Tensor], second: list[Tensor]) -> float:
    pairs = zip(first, second, strict=True)
    return float(torch.stack([(a - b).square().mean() for a, b in pairs]).mean())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("settings", [EIGHT, WIDE], ids=lambda s: s.precision.label)
def test_the_loop_over_time_gets_the_steps_of_the_rules(settings: FixedPoint, frozen: bool) -> None:
    """R5, R7, R8, R10; a projected output (R2) is rounded inside once its range is frozen."""
    model = build_model(random_checkpoint(lstm={"projection": 4}))
    retraining = _trained_on(model, settings, [random_frames(0, 8)])
    if frozen:
        retraining.freeze()
    found: list[StepRounding | None] = []
    lstm = model.get_submodule("layer4")
    assert isinstance(lstm, SaturatingLstm)
    lstm.register_forward_pre_hook(lambda module, _inputs: found.append(module.rounding))
    retraining.forward(torch.zeros(1, 3, 5), torch.tensor([3]))
    low, high = (t.item() / 0.01 for t in retraining.tensors()["layer4"][:2])  # one utterance
    projected = None
    if frozen and settings is WIDE:
        projected = Grid(pytest.approx(max(-low, high) / 32767), -32768, 32767)
    elif frozen:
        step = (max(high, 0.0) - min(low, 0.0)) / 255
        zero_point = math.floor(-min(low, 0.0) / step + 0.5)
        projected = Grid(pytest.approx(step), -zero_point, 255 - zero_point)
    hidden = 1 / 32768 if settings is WIDE else 1 / 127
    assert found == [StepRounding(hidden, 1 / 2048, 1 / 2048, projected)]


@pytest.mark.parametrize("lstm", LSTMS, ids=str)
def test_zeros_of_pruned_weights_stay_zeros_and_every_weight_gets_its_gradient(
    lstm: dict[str, Any],
) -> None:
    checkpoint = random_checkpoint(1, hidden=6, sparsity=0.5, lstm=lstm)
    model = build_model(checkpoint).train()
    retraining = FixedPointRetraining(model, EIGHT)
    seen: dict[str, Tensor] = {}

    def look(module: nn.Module, _inputs: object, _output: object) -> None:
        seen.update({name: p.detach().clone() for name, p in module.named_parameters()})

    handle = model.get_submodule("layer5").register_forward_hook(look)
    batch = torch.from_numpy(random_frames(0, 20)).float()[None], torch.tensor([20])
    retraining.forward(*batch)[..., 0].sum().backward()
    handle.remove()
    assert (seen["weight"][checkpoint.weights["layer5.weight"] == 0] == 0).all()
    assert seen["weight"].unique().numel() <= 255
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


# ---- ranges ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lstm", [{}, {"projection": 5}, {"projection": 5, "merge": "sum"}])
def test_ranges_take_one_term_an_utterance_and_no_padding(lstm: dict[str, Any]) -> None:
    model = build_model(random_checkpoint(4, hidden=6, lstm=lstm))
    sample = [random_frames(seed, count) for seed, count in enumerate((9, 4, 15, 1))]
    alone, together = (FixedPointRetraining(model, EIGHT, momentum=0.6) for _ in range(2))
    model.train()
    for frames in sample[:3]:
        alone.forward(torch.from_numpy(frames).float()[None], torch.tensor([len(frames)]))
    padded = nn.utils.rnn.pad_sequence(
        [torch.from_numpy(frames).float() for frames in sample[:3]], batch_first=True
    )
    together.forward(padded, torch.tensor([9, 4, 15]))
    inputs = MovingAverageObserver(0.6)
    for frames in sample[:3]:
        inputs.observe(torch.from_numpy(frames).float())
    assert torch.equal(together.tensors()["input"][:4], inputs.state())
    assert torch.equal(alone.tensors()["input"], together.tensors()["input"])
    # One batch rounds all utterances to one range, so later layers agree only nearly.
    for name, state in together.tensors().items():
        assert state[3] == 3
        assert alone.tensors()[name].numpy() == pytest.approx(state.numpy(), rel=0.05, abs=0.05)


def test_padding_never_widens_a_range() -> None:
    """A layer that is loudest where nobody speaks: frames of 1 give 2.5 or, at an end, 5."""
    model = build_model(random_checkpoint(context=1, coefficients=5)).train()
    for name, parameter in model.get_submodule("layer1").named_parameters():
        parameter.data.fill_(-0.5 if name == "weight" else 10.0)
    frames = torch.zeros(2, 20, 5)
    frames[0, :20], frames[1, :4] = 1.0, 1.0
    retraining = FixedPointRetraining(model, EIGHT, momentum=0.0)  # the last utterance only
    retraining.forward(frames, torch.tensor([20, 4]))
    assert retraining.tensors()["layer1"][1].item() == pytest.approx(5.0, rel=0.02)


@pytest.mark.parametrize("lstm", [{}, {"projection": 5, "merge": "sum"}])
def test_ranges_are_nearly_those_of_calibration(lstm: dict[str, Any]) -> None:
    """One utterance again and again: no range moves, so none clips what the next layer gets."""
    checkpoint = random_checkpoint(4, hidden=12, lstm=lstm)
    model = build_model(checkpoint)
    sample = 5 * [random_frames(1, 25)]
    expected = calibrate(model, sample)
    found = _calibration_of(checkpoint, _trained_on(model, WIDE, sample))
    assert list(found.outputs) == list(expected.outputs)
    for name, observed in found.outputs.items():
        assert observed.maximum == pytest.approx(expected.outputs[name].maximum, rel=1e-2), name
        assert observed.minimum == pytest.approx(expected.outputs[name].minimum, abs=1e-2), name
    assert (found.utterances, found.source) == (5, "fixed-point retraining")


def test_frozen_ranges_and_those_of_evaluation_do_not_move() -> None:
    model = build_model(random_checkpoint())
    retraining = FixedPointRetraining(model, EIGHT)
    quiet = torch.from_numpy(random_frames(0, 8)).float()[None], torch.tensor([8])
    loud = 10 * quiet[0], quiet[1]
    model.train()
    retraining.forward(*quiet)
    before = retraining.tensors()
    model.eval()
    retraining.forward(*loud)
    assert all(torch.equal(before[name], t) for name, t in retraining.tensors().items())
    model.train()
    retraining.forward(*loud)
    assert retraining.tensors()["input"][1] > before["input"][1]
    retraining.freeze()
    before = retraining.tensors()
    retraining.forward(*(10 * loud[0], loud[1]))
    assert all(torch.equal(before[name], t) for name, t in retraining.tensors().items())


def test_undo_takes_out_the_last_batch_alone() -> None:
    model = build_model(random_checkpoint()).train()
    retraining = FixedPointRetraining(model, EIGHT)
    frames = torch.from_numpy(random_frames(0, 8)).float()[None]
    lengths = torch.tensor([8])
    retraining.forward(frames, lengths)
    retraining.undo()
    assert not retraining.observed
    retraining.forward(frames, lengths)
    before = retraining.tensors()
    retraining.forward(2 * frames, lengths)
    model.eval()
    retraining.forward(3 * frames, lengths)  # observes nothing: still the batch before is undone
    retraining.undo()
    retraining.undo()
    assert all(torch.equal(before[name], t) for name, t in retraining.tensors().items())
    model.train()
    model.get_submodule("layer2").bias.data[1] = float("nan")
    with pytest.raises(ConversionError, match="layer2"):
        retraining.forward(2 * frames, lengths)
    assert not torch.equal(before["input"], retraining.tensors()["input"])
    retraining.undo()
    assert all(torch.equal(before[name], t) for name, t in retraining.tensors().items())


@pytest.mark.parametrize("frozen", [False, True])
def test_a_loaded_state_goes_on_with_the_same_bits(frozen: bool) -> None:
    model = build_model(random_checkpoint(lstm={"projection": 4}))
    first, second = (FixedPointRetraining(model, EIGHT) for _ in range(2))
    model.train()
    batches = [
        (torch.from_numpy(random_frames(seed, 8)).float()[None], torch.tensor([8]))
        for seed in range(3)
    ]
    for batch in batches[:2]:
        first.forward(*batch)
    if frozen:
        first.freeze()
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()})
    assert torch.equal(first.forward(*batches[2]), second.forward(*batches[2]))
    assert all(torch.equal(t, second.tensors()[name]) for name, t in first.tensors().items())


def test_a_state_of_another_network_is_refused() -> None:
    retraining = FixedPointRetraining(build_model(random_checkpoint()), EIGHT)
    with pytest.raises(KeyError, match="layer1"):
        retraining.load({"input": torch.zeros(5)})


def test_nothing_observed_and_diverged_networks_are_errors() -> None:
    model = build_model(random_checkpoint())
    batch = torch.from_numpy(random_frames(0, 8)).float()[None], torch.tensor([8])
    with pytest.raises(ConversionError, match="no activation was observed"):
        FixedPointRetraining(model, EIGHT).forward(*batch)
    model.train()
    model.get_submodule("layer2").bias.data[1] = float("nan")
    with pytest.raises(ConversionError, match="layer2: .*not finite"):
        FixedPointRetraining(model, EIGHT).forward(*batch)


# ---- the model stays as it was -----------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails: bool) -> None:
    model = build_model(random_checkpoint(lstm={"projection": 4, "merge": "sum"})).train()
    retraining = FixedPointRetraining(model, EIGHT)
    frames = torch.from_numpy(random_frames(0, 8)).float()[None]
    before = {name: (p, p.detach().clone()) for name, p in model.named_parameters()}
    plain = model(frames, torch.tensor([8]))
    lstm = model.get_submodule("layer4")
    assert isinstance(lstm, SaturatingLstm)
    layer = lstm.layer
    if fails:
        with pytest.raises(ConversionError):
            retraining.forward(frames * float("nan"), torch.tensor([8]))
    else:
        rounded = retraining.forward(frames, torch.tensor([8]))
        assert not torch.equal(rounded, plain)
    assert lstm.rounding is None and lstm.layer is layer
    assert not any(module._forward_hooks for module in model.modules())
    for name, parameter in model.named_parameters():
        same, value = before[name]
        assert parameter is same and torch.equal(parameter, value)
    assert torch.equal(model(frames, torch.tensor([8])), plain)


def test_wide_mode_ignores_autocast_and_8_bits_keep_it() -> None:
    model = build_model(random_checkpoint(hidden=16)).train()
    batch = torch.from_numpy(random_frames(0, 8)).float()[None], torch.tensor([8])
    results = {}
    for settings in (EIGHT, WIDE):
        plain = FixedPointRetraining(model, settings).forward(*batch)
        with torch.autocast("cpu", torch.bfloat16):
            cast = FixedPointRetraining(model, settings).forward(*batch)
        results[settings.weight_bits] = torch.equal(plain, cast)
    assert results == {8: False, 16: True}


@pytest.mark.slow
def test_learning_with_rounding_lowers_the_loss_with_rounding() -> None:
    """Few steps from weights that 8 bits hurt: the rounded network learns to live with them."""
    checkpoint = random_checkpoint(7, hidden=12, sparsity=0.0, labels=4)
    checkpoint.weights["layer5.weight"][0, 0] = 40.0  # one outlier takes the matrix's range
    model = build_model(checkpoint)
    for parameter in model.parameters():
        parameter.requires_grad_()
    frames = torch.from_numpy(np.stack([random_frames(s, 20) for s in range(8)])).float()
    lengths = torch.full((8,), 20)
    with torch.no_grad():
        target = build_model(random_checkpoint(7, hidden=12, sparsity=0.0, labels=4))(
            frames, lengths
        ).argmax(-1)
    retraining = FixedPointRetraining(model.train(), EIGHT)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        scores = retraining.forward(frames, lengths)
        loss = nn.functional.nll_loss(scores.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def _trained_on(
    model: DeepSpeech, settings: FixedPoint, sample: list[np.ndarray]
) -> FixedPointRetraining:
    """Ranges of ``sample``, observed utterance by utterance; the weights do not change."""
    retraining = FixedPointRetraining(model.train(), settings)
    with torch.no_grad():
        for frames in sample:
            retraining.forward(torch.from_numpy(frames).float()[None], torch.tensor([len(frames)]))
    model.eval()
    return retraining


def _calibration_of(checkpoint: Checkpoint, retraining: FixedPointRetraining) -> Calibration:
    checkpoint.fixed_point.update(retraining.tensors())
    calibration = trained_calibration(checkpoint)
    assert calibration is not None
    return calibration
