"""Recognising nn.Linear and nn.LSTM in a state dict by the names and shapes of their tensors.

Axes: I inputs, O outputs, H cells and P projected outputs of one direction. Gate order i, f, g, o,
in torch and here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparsespeech.errors import ExchangeError
from sparsespeech.exchange.state_dict import StateDict

_LSTM = re.compile(
    r"(?:(?P<module>.+)\.)?(?P<kind>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"_l(?P<number>\d{1,3})(?P<reverse>_reverse)?"
)
_LINEAR = re.compile(r"(?:(?P<module>.+)\.)?(?P<kind>weight|bias)")
_ALTERNATIVE = "leave it out with --ignore if the network computes the same without it"


@dataclass(frozen=True, eq=False)
class LinearModule:
    """One nn.Linear: ``weight`` float32[O, I], ``bias`` float32[O], zeros if the file has none."""

    name: str
    weight: Tensor
    bias: Tensor

    @property
    def inputs(self) -> int:
        """Width of what it takes."""
        return self.weight.shape[1]

    @property
    def outputs(self) -> int:
        """Width of what it gives."""
        return self.weight.shape[0]

    @property
    def shape(self) -> str:
        """For messages: the tensor whose shape decides the widths."""
        return f"{self.name or '(top)'}: tensor weight {list(self.weight.shape)}"


@dataclass(frozen=True, eq=False)
class LstmStep:
    """One layer of an nn.LSTM: the tensors of its one or two directions, forward first.

    ``weight_ih`` float32[4H, I], ``weight_hh`` [4H, P or H], ``bias_ih`` and ``bias_hh`` [4H],
    and with a projection ``weight_hr`` [P, H].
    """

    suffix: str
    directions: tuple[dict[str, Tensor], ...]

    @property
    def inputs(self) -> int:
        """I."""
        return self.directions[0]["weight_ih"].shape[1]

    @property
    def cells(self) -> int:
        """H."""
        return self.directions[0]["weight_ih"].shape[0] // 4

    @property
    def projection(self) -> int | None:
        """P, or None."""
        projection = self.directions[0].get("weight_hr")
        return None if projection is None else projection.shape[0]

    @property
    def outputs(self) -> int:
        """Width of the concatenated directions."""
        return len(self.directions) * (self.projection or self.cells)


@dataclass(frozen=True, eq=False)
class LstmModule:
    """One nn.LSTM: its stacked layers from the input up."""

    name: str
    steps: tuple[LstmStep, ...]

    @property
    def inputs(self) -> int:
        """Width of what the first layer takes."""
        return self.steps[0].inputs

    @property
    def outputs(self) -> int:
        """Width of what the last layer gives."""
        return self.steps[-1].outputs

    @property
    def shape(self) -> str:
        """For messages: the tensor whose shape decides the width of the input."""
        tensor = self.steps[0].directions[0]["weight_ih"]
        return f"{self.name or '(top)'}: tensor weight_ih_l0 {list(tensor.shape)}"


Module = LinearModule | LstmModule


def find_modules(source: StateDict, ignore: Sequence[str] = ()) -> list[Module]:
    """All modules in the order of the file; raises ExchangeError naming tensor and shape.

    ``ignore``: regular expressions; a tensor whose whole name matches one is passed over.
    """
    patterns = [_pattern(text) for text in ignore]
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in source.tensors.items():
        if any(pattern.fullmatch(name) for pattern in patterns):
            continue
        parsed = _LSTM.fullmatch(name) or _LINEAR.fullmatch(name)
        if parsed is None:
            raise ExchangeError(
                f"{source.path}: tensor {name} {list(tensor.shape)} belongs neither to an "
                f"nn.Linear (weight, bias) nor to an nn.LSTM (weight_ih_l0, ...); {_ALTERNATIVE}"
            )
        module = parsed["module"] or ""
        kind = name.removeprefix(f"{module}.") if module else name
        found.setdefault(module, {})[kind] = _real(source, name, tensor)
    if not found:
        raise ExchangeError(f"{source.path}: holds no tensor of an nn.Linear or nn.LSTM")
    return [
        _lstm(source, name, tensors)
        if any(_LSTM.fullmatch(kind) for kind in tensors)
        else _linear(source, name, tensors)
        for name, tensors in found.items()
    ]


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ExchangeError(f"--ignore {text!r}: not a regular expression: {error}") from None


def _real(source: StateDict, name: str, tensor: Tensor) -> Tensor:
    """The tensor as float32; half precision converts exactly."""
    where = f"{source.path}: tensor {name} {list(tensor.shape)}"
    if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta:
        raise ExchangeError(
            f"{where}: holds {tensor.dtype} ({tensor.layout}), expected a dense float tensor; "
            f"{_ALTERNATIVE}"
        )
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        # A forged file of some bytes must not ask for terabytes of memory.
        raise ExchangeError(f"{where}: repeats its numbers, the file does not hold all of them")
    real = tensor.detach().to(torch.float32).contiguous()
    if real.numel() == 0:
        raise ExchangeError(f"{where}: is empty")
    if not bool(torch.isfinite(real).all()):
        raise ExchangeError(f"{where}: holds NaN or infinity in float32; train the network again")
    return real


def _linear(source: StateDict, name: str, tensors: Mapping[str, Tensor]) -> LinearModule:
    full = f"{name}." if name else ""
    weight = tensors.get("weight")
    if weight is None:
        raise ExchangeError(
            f"{source.path}: tensor {full}bias {list(tensors['bias'].shape)} comes without "
            f"{full}weight"
        )
    if weight.ndim != 2:
        raise ExchangeError(
            f"{source.path}: tensor {full}weight {list(weight.shape)}: expected [outputs, inputs] "
            f"of an nn.Linear; convolutions and normalisation layers cannot be imported, fold "
            f"batch norm into the layer before it, or {_ALTERNATIVE}"
        )
    bias = tensors.get("bias", torch.zeros(weight.shape[0]))
    _check_shape(source, f"{full}bias", bias, (weight.shape[0],))
    return LinearModule(name, weight, bias)


def _lstm(source: StateDict, name: str, tensors: Mapping[str, Tensor]) -> LstmModule:
    full = f"{name}." if name else ""
    grouped: dict[int, dict[str, dict[str, Tensor]]] = {}
    for kind, tensor in tensors.items():
        parsed = _LSTM.fullmatch(kind)
        if parsed is None:
            raise ExchangeError(
                f"{source.path}: tensor {full}{kind} {list(tensor.shape)} stands among those of "
                f"the nn.LSTM {name!r}; {_ALTERNATIVE}"
            )
        directions = grouped.setdefault(int(parsed["number"]), {})
        directions.setdefault(parsed["reverse"] or "", {})[parsed["kind"]] = tensor
    both = sorted({reverse for directions in grouped.values() for reverse in directions})
    steps: list[LstmStep] = []
    for number in range(max(grouped) + 1):
        made = tuple(
            _direction(
                source, f"{full}*_l{number}{reverse}", grouped.get(number, {}).get(reverse, {})
            )
            for reverse in both
        )
        steps.append(LstmStep(f"l{number}", made))
        _check_stack(source, full, number, steps)
    return LstmModule(name, tuple(steps))


def _direction(source: StateDict, where: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one direction, their shapes proved, missing biases as zeros."""
    missing = [kind for kind in ("weight_ih", "weight_hh") if kind not in tensors]
    biases = [kind for kind in ("bias_ih", "bias_hh") if kind in tensors]
    if len(biases) == 1:
        missing.append({"bias_ih": "bias_hh", "bias_hh": "bias_ih"}[biases[0]])
    if missing:
        names = ", ".join(where.replace("*", kind) for kind in missing)
        raise ExchangeError(f"{source.path}: tensor {names} of an nn.LSTM is missing")
    weight_ih, weight_hh = tensors["weight_ih"], tensors["weight_hh"]
    for kind in ("weight_ih", "weight_hh", "weight_hr"):
        if kind in tensors and tensors[kind].ndim != 2:
            raise ExchangeError(
                f"{source.path}: tensor {where.replace('*', kind)} {list(tensors[kind].shape)}: "
                f"expected two axes"
            )
    fed_back = weight_hh.shape[1]
    cells = tensors["weight_hr"].shape[1] if "weight_hr" in tensors else fed_back
    if weight_ih.shape[0] != 4 * cells:
        guess = {3: ", which is an nn.GRU", 1: ", which is an nn.RNN"}
        found = guess.get(weight_ih.shape[0] // cells, "") if not weight_ih.shape[0] % cells else ""
        raise ExchangeError(
            f"{source.path}: tensor {where.replace('*', 'weight_ih')} {list(weight_ih.shape)}: "
            f"expected 4 gates x {cells} cells = {4 * cells} rows of an nn.LSTM, got "
            f"{weight_ih.shape[0]}{found}"
        )
    made = {"bias_ih": torch.zeros(4 * cells), "bias_hh": torch.zeros(4 * cells), **tensors}
    _check_shape(source, where.replace("*", "weight_hh"), weight_hh, (4 * cells, fed_back))
    for kind in ("bias_ih", "bias_hh"):
        _check_shape(source, where.replace("*", kind), made[kind], (4 * cells,))
    if "weight_hr" in made:
        _check_shape(source, where.replace("*", "weight_hr"), made["weight_hr"], (fed_back, cells))
    return made


def _check_stack(source: StateDict, full: str, number: int, steps: list[LstmStep]) -> None:
    """Both directions of a layer agree, and it takes what the layer below gives."""
    step = steps[-1]
    forward = step.directions[0]
    for kind, tensor in step.directions[-1].items():
        expected = tuple(forward[kind].shape) if kind in forward else ()
        _check_shape(source, f"{full}{kind}_l{number}_reverse", tensor, expected)
    if number > 0 and step.inputs != steps[-2].outputs:
        _check_shape(
            source,
            f"{full}weight_ih_l{number}",
            forward["weight_ih"],
            (4 * step.cells, steps[-2].outputs),
        )


def _check_shape(source: StateDict, name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != expected:
        raise ExchangeError(
            f"{source.path}: tensor {name} has shape {list(tensor.shape)}, expected "
            f"{list(expected)}"
        )
