"""Names and shapes of the parameters that a graph has in training, known without torch.

Axes: I inputs, O outputs, H cells of one direction, P fed-back outputs of one direction (H
without a projection). The names are those of ``acoustic_model.deepspeech.DeepSpeech``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparsespeech.errors import CheckpointError
from sparsespeech.graph import Graph, Layer, Linear, Lstm, Output

Shape = tuple[int, ...]
PARAMETER_GROUPS = ("weights", "average", "masks")  # first words of tensors shaped by the graph


def parameter_shapes(graph: Graph) -> dict[str, Shape]:
    """Shape of each parameter by name, in graph order.

    Raises CheckpointError for a layer that training does not know.
    """
    return {name: shape for layer in graph.layers for name, shape in _of_layer(layer)}


def check_shapes(where: str, found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> None:
    """Raise CheckpointError unless ``found`` are the ``expected`` parameters of a graph."""
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            has, needs = (
                "absent" if shape is None else f"{list(shape)}"
                for shape in (found.get(name), expected.get(name))
            )
            raise CheckpointError(
                f"{where}: the weights do not fit the graph: {name} is {has}, expected {needs}; "
                f"use an earlier checkpoint"
            )


def check_groups(where: str, found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> None:
    """Raise CheckpointError unless weights, averages and masks among ``found`` are ``expected``."""
    for name, shape in found.items():
        group, _, parameter = name.partition(".")
        if group in PARAMETER_GROUPS and expected.get(parameter) != shape:
            needed = expected.get(parameter)
            needs = "has no such parameter" if needed is None else f"needs {list(needed)}"
            raise CheckpointError(
                f"{where}: the weights do not fit the graph: {name} is {list(shape)}, the graph "
                f"{needs}; use an earlier checkpoint"
            )


def _of_layer(layer: Layer) -> Iterator[tuple[str, Shape]]:
    match layer:
        case Linear() | Output():
            yield f"{layer.name}.weight", (layer.outputs, layer.inputs)
            yield f"{layer.name}.bias", (layer.outputs,)
        case Lstm():
            for number in range(2 if layer.bidirectional else 1):
                yield from _of_direction(f"{layer.name}.directions.{number}", layer)
        case _:
            raise CheckpointError(f"training does not know the layer {layer}")


def _of_direction(name: str, layer: Lstm) -> Iterator[tuple[str, Shape]]:
    gates = 4 * layer.cells
    yield f"{name}.weight_ih", (gates, layer.inputs)
    yield f"{name}.weight_hh", (gates, layer.recurrent_inputs)
    yield f"{name}.bias_ih", (gates,)
    yield f"{name}.bias_hh", (gates,)
    if layer.projection is not None:
        yield f"{name}.weight_projection", (layer.projection, layer.cells)
    if layer.peephole:
        yield f"{name}.peephole", (3, layer.cells)
