"""The layers of an acoustic model as small dataclasses, shared by training, file and executors.

Axes: I inputs, O outputs, H cells of one direction, P projected outputs of one direction,
V labels. A graph describes shapes and non-linearities only; weights live elsewhere.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from sparsespeech.errors import ModelFileError

CELL_LIMIT = 16.0  # the cell state of every LSTM saturates at +-16, in float training too


@dataclass(frozen=True)
class Linear:
    """Fully connected layer, ``y = min(max(W x + b, 0), clip)``; W is [outputs, inputs]."""

    name: str
    inputs: int
    outputs: int
    clip: float = 20.0


@dataclass(frozen=True)
class Lstm:
    """LSTM layer, gate order i, f, g, o; W_x is [4H, inputs] and W_h [4H, H or P] a direction.

    ``merge`` says how the two directions of a bidirectional layer meet.
    """

    name: str
    inputs: int
    cells: int
    bidirectional: bool = True
    projection: int | None = None
    peephole: bool = False
    merge: Literal["concatenate", "sum"] = "concatenate"

    @property
    def recurrent_inputs(self) -> int:
        """Width of the fed-back output of one direction."""
        return self.projection or self.cells

    @property
    def outputs(self) -> int:
        """Width of the layer's output after both directions are merged."""
        both = self.bidirectional and self.merge == "concatenate"
        return self.recurrent_inputs * (2 if both else 1)


@dataclass(frozen=True)
class Conv2d:
    """Convolution over time and frequency with batch norm folded and Hardtanh(0, clip)."""

    name: str
    input_channels: int
    output_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    clip: float = 20.0


@dataclass(frozen=True)
class Output:
    """Output layer: logits ``W x + b`` with no non-linearity; softmax happens on the host."""

    name: str
    inputs: int
    outputs: int


Layer = Linear | Lstm | Conv2d | Output
_KINDS: dict[str, type[Linear | Lstm | Conv2d | Output]] = {
    "linear": Linear,
    "lstm": Lstm,
    "conv2d": Conv2d,
    "output": Output,
}


@dataclass(frozen=True)
class Graph:
    """A chain of layers from feature windows to logits."""

    layers: tuple[Layer, ...]

    @property
    def bidirectional(self) -> bool:
        """True if any layer needs the whole utterance before its first output."""
        return any(isinstance(layer, Lstm) and layer.bidirectional for layer in self.layers)

    def to_json(self) -> list[dict[str, Any]]:
        """A list of plain dictionaries, one a layer, with the kind under ``kind``."""
        names = {kind: name for name, kind in _KINDS.items()}
        return [{"kind": names[type(layer)], **asdict(layer)} for layer in self.layers]

    @classmethod
    def from_json(cls, items: list[dict[str, Any]]) -> Graph:
        """Inverse of :meth:`to_json`; raises ModelFileError on an unknown kind or key."""
        return cls(tuple(_layer_from_json(item) for item in items))


def _layer_from_json(item: dict[str, Any]) -> Layer:
    values = dict(item)
    kind = _KINDS.get(values.pop("kind", None))
    if kind is None:
        raise ModelFileError(f"graph layer {item!r} has an unknown kind; known: {sorted(_KINDS)}")
    known = {field.name for field in fields(kind)}
    if set(values) - known:
        raise ModelFileError(f"graph layer {item!r} has unknown keys {sorted(set(values) - known)}")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ModelFileError(f"graph layer {item!r} is incomplete: {error}") from None


def network_difference(one: Graph, other: Graph) -> str:
    """How ``one`` differs from ``other`` first, such as ``outputs of layer2 is 8, not 16``.

    Empty where all layers are the same.
    """
    for here, there in zip(one.to_json(), other.to_json(), strict=False):
        for key in [*here, *(key for key in there if key not in here)]:
            if here.get(key) != there.get(key):
                return f"{key} of {here['name']} is {here.get(key)}, not {there.get(key)}"
    if len(one.layers) != len(other.layers):
        return f"it has {len(one.layers)} layers, not {len(other.layers)}"
    return ""


def deepspeech(
    hidden: int,
    *,
    bidirectional: bool = True,
    inputs: int = 494,
    labels: int = 29,
    clip: float = 20.0,
) -> Graph:
    """DeepSpeech as in Table I of the MAU paper; ``hidden=2048`` gives its 122.75 M parameters."""
    directions = 2 if bidirectional else 1
    return Graph(
        (
            Linear("layer1", inputs, hidden, clip),
            Linear("layer2", hidden, hidden, clip),
            Linear("layer3", hidden, 2 * hidden, clip),
            Lstm("layer4", 2 * hidden, hidden, bidirectional),
            Linear("layer5", directions * hidden, hidden, clip),
            Output("layer6", hidden, labels),
        )
    )


def lstmp(
    cells: int = 2048,
    *,
    projection: int | None = None,
    peephole: bool = False,
    bidirectional: bool = False,
    inputs: int = 153,
    labels: int = 29,
    layers: int = 3,
) -> Graph:
    """The projected LSTM network of the ESE deck (S4): 3 layers of 2048 cells, 1024 outputs each.

    ``projection`` is half of ``cells`` where it is not given. S4's peepholes are optional, its
    layers run forward only.
    """
    outputs = projection or max(1, cells // 2)
    directions = 2 if bidirectional else 1
    recurrent = (
        Lstm(
            f"layer{number + 1}",
            inputs if number == 0 else directions * outputs,
            cells,
            bidirectional,
            projection=outputs,
            peephole=peephole,
        )
        for number in range(layers)
    )
    return Graph((*recurrent, Output(f"layer{layers + 1}", directions * outputs, labels)))
