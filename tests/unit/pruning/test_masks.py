"""Masks under training: every option moves them as it says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.masks import PruningMasks
from sparsespeech.pruning.settings import Pruning
from sparsespeech.pruning.structure_settings import NOfM, RowCap, Structure, parse_structure
from tests.pruning_patterns import holds_pattern
from tests.suggested_sparsities import write_suggestion

STEPS = 100
LSTM = "layer4.weight_hh"


class TinyNetwork(nn.Module):
    """Three matrices and a bias, with names as in DeepSpeech; gate rows differ in size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer1 = nn.Linear(24, 8)
        self.layer4 = nn.Module()
        self.layer4.weight_hh = nn.Parameter(
            torch.randn(64, 16) * torch.tensor([0.1, 1.0, 2.0, 4.0]).repeat_interleave(16)[:, None]
        )
        self.layer6 = nn.Linear(16, 5)


def parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    return dict(model.named_parameters())


def build(model: nn.Module, **values: object) -> PruningMasks:
    settings = Pruning.model_validate(
        {"final_sparsity": 0.75, "start": 0.1, "end": 0.5, "exceptions": {}, **values}
    )
    names = [name for name, p in model.named_parameters() if p.ndim == 2]
    return PruningMasks.build(settings, parameters(model), names, STEPS, steps_per_epoch=10)


def run(masks: PruningMasks, model: nn.Module, steps: int = STEPS) -> dict[int, float]:
    """Follow the schedule without training; sparsity by step of each update."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    course = {}
    for step in range(steps):
        epoch = step // 10
        if masks.updates_masks(step, epoch):
            masks.update(step, epoch, optimizer)
            masks.apply(average)
            course[step] = masks.sparsity()
    return course


def zeros(masks: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: 1 - float(mask.mean()) for name, mask in masks.items()}


def test_masks_start_as_ones_and_follow_the_ramp() -> None:
    model = TinyNetwork()
    masks = build(model, updates=4)
    assert masks.sparsity() == 0.0
    course = run(masks, model)
    assert list(course) == [10, 20, 30, 40, 50]
    wanted = [0.75 * (1 - (1 - u) ** 3) for u in (0, 0.25, 0.5, 0.75, 1)]
    assert list(course.values()) == pytest.approx(wanted, abs=2e-3)
    assert zeros(masks.masks) == pytest.approx(dict.fromkeys(masks.masks, 0.75), abs=0.02)


def test_linear_and_initial_sparsity() -> None:
    model = TinyNetwork()
    course = run(build(model, updates=2, shape="linear", initial_sparsity=0.25), model)
    assert list(course.values()) == pytest.approx([0.25, 0.5, 0.75], abs=2e-3)


def test_start_and_end_in_epochs() -> None:
    model = TinyNetwork()
    masks = build(model, unit="epochs", start=2, end=4.5, updates=1)
    assert list(run(masks, model)) == [20, 45]
    with pytest.raises(RecipeError, match="steps 20 to 110 of 100"):
        build(model, unit="epochs", start=2, end=11)


def test_one_shot() -> None:
    model = TinyNetwork()
    course = run(build(model, shape="one_shot", start=0.3), model)
    assert course == {30: pytest.approx(0.75, abs=2e-3)}


def test_stages_and_their_learning_rate() -> None:
    model = TinyNetwork()
    stages = [{"sparsity": 0.5, "steps": 20}, {"sparsity": 0.75, "steps": 40}]
    masks = build(model, shape="iterative", stages=stages, rewind_to=0.5)
    course = run(masks, model)
    assert course == pytest.approx({10: 0.5, 30: 0.75}, abs=2e-3)
    # The middle of each stage is at three quarters of the schedule.
    assert masks.learning_rate_position(20) == masks.learning_rate_position(65) == 75.0
    assert build(model).learning_rate_position(20) == 20.0


def test_user_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def climb(epoch, step): return 0.25 * (epoch // 2) + 0.001 * step\n"
    (tmp_path / "stairs.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    model = TinyNetwork()
    masks = build(model, shape="function", function="stairs:climb", updates=4)
    course = run(masks, model)
    wanted = {10: 0.01, 20: 0.27, 30: 0.28, 40: 0.54, 50: 0.55}
    assert course == pytest.approx(wanted, abs=3e-3)


def test_threshold_ramp_prunes_what_its_threshold_exceeds() -> None:
    model = TinyNetwork()
    weight = model.layer4.weight_hh.detach().clone()
    masks = build(model, shape="threshold", updates=4, threshold={"steepens_at": 0.25})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    last = weight.abs().flatten().sort().values[round(0.75 * weight.numel()) - 1]
    for step, risen in ((10, 0.0), (20, 0.25 / 1.375), (40, 1.0 / 1.375), (50, 1.0)):
        masks.update(step, 0, optimizer)
        assert torch.equal(masks.masks[LSTM] > 0, weight.abs() >= last * risen), step
    # Weights that grew since the beginning escape, unlike under the other ramps.
    grown = TinyNetwork()
    masks = build(grown, shape="threshold", updates=4)
    masks.update(10, 0, optimizer)
    grown.layer4.weight_hh.data.mul_(10)
    masks.update(50, 0, optimizer)
    assert zeros(masks.masks)[LSTM] < 0.5


@pytest.mark.parametrize("shape", ["cubic", "threshold"])
def test_gates_by_themselves(shape: str) -> None:
    model = TinyNetwork()
    masks = build(model, scope="gate", shape=shape)
    run(masks, model)
    by_gate = [1 - float(gate.mean()) for gate in masks.masks[LSTM].chunk(4)]
    assert by_gate == pytest.approx([0.75] * 4, abs=0.005)
    assert zeros(masks.masks)["layer1.weight"] == pytest.approx(0.75, abs=0.01)
    other = TinyNetwork()
    whole = build(other)
    run(whole, other)
    by_gate = [1 - float(gate.mean()) for gate in whole.masks[LSTM].chunk(4)]
    assert by_gate[0] > 0.99
    assert by_gate[3] < 0.5


@pytest.mark.parametrize("shape", ["cubic", "threshold"])
def test_global_threshold(shape: str) -> None:
    model = TinyNetwork()
    model.layer1.weight.data.mul_(12)
    model.layer6.weight.data.mul_(12)
    masks = build(model, scope="global", shape=shape)
    everything = torch.cat([parameters(model)[n].detach().flatten() for n in masks.masks]).abs()
    run(masks, model)
    kept = torch.cat([mask.flatten() for mask in masks.masks.values()]) > 0
    assert int((~kept).sum()) == pytest.approx(0.75 * everything.numel(), abs=1)
    assert float(everything[~kept].max()) <= float(everything[kept].min())
    assert len({round(share, 2) for share in zeros(masks.masks).values()}) == 3


def test_global_threshold_within_bounds() -> None:
    model = TinyNetwork()
    exceptions = {LSTM: {"maximum": 0.72}}
    masks = build(
        model, scope="global", minimum_sparsity=0.5, maximum_sparsity=0.9, exceptions=exceptions
    )
    run(masks, model)
    found = zeros(masks.masks)
    assert found[LSTM] <= 0.72
    assert found["layer1.weight"] <= 0.9
    assert masks.sparsity() == pytest.approx(0.75, abs=1e-3)
    with pytest.raises(RecipeError, match="allow 0 to"):
        build(model, scope="global", maximum_sparsity=0.7)


@pytest.mark.parametrize("scope", ["layer", "gate", "global"])
def test_structures_hold_in_every_scope(scope: str) -> None:
    model = TinyNetwork()
    bank = {"kind": "bank_balanced", "bank": 8}
    masks = build(model, scope=scope, structure=bank)
    run(masks, model)
    banks = masks.masks[LSTM].view(64, 2, 8).sum(2)
    if scope == "global":
        assert len(set(banks.flatten().tolist())) == 1
    else:
        assert (banks == 2).all()


# Sparsities of the network along a straight ramp to 0.75, structure by structure.
EVEN = [0.0, 0.1875, 0.375, 0.5625, 0.75]
COURSES = {
    "unstructured": EVEN,
    "bank:8": [0.0, 0.25, 0.375, 0.5, 0.75],  # whole weights of each bank
    "row-cap:3/8": EVEN,
    "1:4": EVEN,
    "block:2x4": EVEN,  # but for whole blocks, of which those at the edge are smaller
}


@pytest.mark.parametrize("structure", COURSES)
def test_a_pattern_holds_along_the_ramp(structure: str) -> None:
    model = TinyNetwork()
    masks = build(model, structure=structure, updates=4, shape="linear")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    promised = parse_structure(structure)
    for step, sparsity in zip((10, 20, 30, 40, 50), COURSES[structure], strict=True):
        masks.update(step, step // 10, optimizer)
        tolerance = 0.02 if structure.startswith("block") else 3e-3
        assert masks.sparsity() == pytest.approx(sparsity, abs=tolerance)
        for mask in masks.masks.values():
            assert holds_pattern(mask, widened(promised, sparsity))


def widened(structure: Structure, sparsity: float) -> Structure:
    """What holds on the way: a cap is as much wider as there are more weights than at the end."""
    ratio = (1 - sparsity) / (1 - 0.75)
    match structure:
        case RowCap(keep=keep, columns=columns):
            return structure.model_copy(update={"keep": min(columns, math.ceil(keep * ratio))})
        case NOfM(n=n, m=m):
            return structure.model_copy(update={"n": min(m, math.ceil(n * ratio))})
        case _:
            return structure


@pytest.mark.parametrize("scope", ["layer", "gate", "global"])
@pytest.mark.parametrize("shape", ["cubic", "threshold"])
@pytest.mark.parametrize("structure", COURSES)
def test_a_ramp_ends_in_its_pattern(structure: str, shape: str, scope: str) -> None:
    """With about the zeros wanted or more: a threshold counts those that the pattern makes too."""
    model = TinyNetwork()
    masks = build(model, structure=structure, shape=shape, scope=scope, updates=4)
    run(masks, model)
    assert masks.sparsity() > 0.69
    for name, mask in masks.masks.items():
        gates = mask.chunk(4) if scope == "gate" and name == LSTM else [mask]
        for part in gates:
            assert holds_pattern(part, parse_structure(structure))


def test_without_its_structure_a_ramp_ends_in_no_pattern() -> None:
    """The weights of the network fall into none of the patterns by themselves."""
    model = TinyNetwork()
    masks = build(model, updates=4)
    run(masks, model)
    for structure in list(COURSES)[1:]:
        assert not holds_pattern(masks.masks[LSTM], parse_structure(structure)), structure


def test_suggested_sparsities_and_exceptions(tmp_path: Path) -> None:
    suggested = {"layer1.weight": 0.5, LSTM: 0.875}
    path = write_suggestion(tmp_path / "sensitivity.json", suggested, list(suggested))
    model = TinyNetwork()
    masks = build(model, from_sensitivity=path, exceptions={"layer6": 0.0})
    run(masks, model)
    assert zeros(masks.masks) == pytest.approx(suggested, abs=0.003)


def test_zeros_from_before_stay() -> None:
    model = TinyNetwork()
    model.layer1.weight.data[:, ::2] = 0.0
    model.layer6.weight.data[0] = 0.0
    masks = build(model, keep_zeros=True, exceptions={"layer6": 0.0})
    assert zeros(masks.masks)["layer1.weight"] == 0.5
    model.layer1.weight.data += 5.0
    run(masks, model)
    assert bool((model.layer1.weight[:, ::2] == 0).all())
    assert zeros(masks.masks)["layer6.weight"] == pytest.approx(0.2)
    resumed = build(TinyNetwork(), keep_zeros=True, exceptions={"layer6": 0.0})
    resumed.load(masks.tensors())
    assert resumed.masks.keys() == masks.masks.keys()
    assert all(torch.equal(resumed.masks[name], mask) for name, mask in masks.masks.items())


@pytest.mark.parametrize(
    "kind", [torch.optim.AdamW, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)]
)
def test_moments_of_pruned_weights_are_cleared(kind: object) -> None:
    model = TinyNetwork()
    optimizer = kind(model.parameters())  # type: ignore[operator]  # a class or a function
    sum(p.square().sum() for p in model.parameters()).backward()
    optimizer.step()
    masks = build(model)
    masks.update(50, 5, optimizer)
    gone = masks.masks[LSTM] == 0
    moments = [t for t in optimizer.state[model.layer4.weight_hh].values() if t.ndim == 2]
    assert moments
    for moment in moments:
        assert float(moment[gone].abs().max()) == 0.0
        assert float(moment[~gone].abs().min()) > 0.0


def test_a_resumed_threshold_ramp_goes_on_with_its_thresholds() -> None:
    model = TinyNetwork()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first = build(model, shape="threshold")
    first.update(10, 1, optimizer)
    stored = {name: tensor.clone() for name, tensor in first.tensors().items()}
    model.layer4.weight_hh.data.mul_(3)
    first.update(40, 4, optimizer)
    second = build(model, shape="threshold")
    second.load({**stored, "weights.other": torch.zeros(1)})
    second.update(40, 4, optimizer)
    assert torch.equal(first.masks[LSTM], second.masks[LSTM])
    third = build(model, shape="threshold")
    third.update(40, 4, optimizer)
    assert not torch.equal(first.masks[LSTM], third.masks[LSTM])


def test_a_missing_mask_is_an_error() -> None:
    masks = build(TinyNetwork())
    stored = masks.tensors()
    del stored[f"masks.{LSTM}"]
    with pytest.raises(KeyError, match=LSTM):
        masks.load(stored)


def test_gradients_of_pruned_weights_are_nothing_to_clip() -> None:
    weight = nn.Parameter(torch.ones(4, 4))
    masks = PruningMasks.build(
        Pruning(final_sparsity=0.5, shape="one_shot", start=0.0), {"a": weight}, ["a"], 10, 10
    )
    masks.masks["a"] = torch.eye(4)
    weight.grad = torch.full((4, 4), 3.0)
    masks.mask_gradients()
    assert torch.equal(weight.grad, 3 * torch.eye(4))
    weight.grad = None
    masks.mask_gradients()
    masks.keeps_dense_weights = True
    weight.grad = torch.full((4, 4), 3.0)
    masks.mask_gradients()
    assert torch.equal(weight.grad, torch.full((4, 4), 3.0))


def test_zeros_can_be_kept_and_nothing_else_pruned() -> None:
    model = TinyNetwork()
    with torch.no_grad():
        model.layer4.weight_hh[::3] = 0.0
        model.layer1.weight[0] = 0.0
    zeros = {name: p == 0 for name, p in model.named_parameters() if p.ndim == 2}
    masks = build(model, shape="one_shot", start=0.0, final_sparsity=0.0, keep_zeros=True)
    run(masks, model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1.0  # a step of an optimizer
    masks.apply({name: p.detach().clone() for name, p in model.named_parameters()})
    for name, parameter in model.named_parameters():
        if name in zeros:
            assert torch.equal(parameter == 0, zeros[name])
