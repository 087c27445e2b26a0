"""First pass: which layers the accelerator computes, and which stay on the host.

S2 section IV-D maps "all but layers 5 and 6": everything up to and including the recurrent layer.
An accelerator runs fully connected layers and then one LSTM, in this order.
"""

from __future__ import annotations

from dataclasses import replace

from sparsespeech.compiler.ir import Plan
from sparsespeech.errors import CompileError, NoProgramError
from sparsespeech.graph import Conv2d, Graph, Layer, Linear, Lstm, Output


def select_layers(plan: Plan) -> Plan:
    """Fills ``accelerated``; raises NoProgramError for a layer that cannot run there yet."""
    if plan.model.activation_bits != 8:
        raise NoProgramError(
            f"the model has activations of {plan.model.activation_bits} bit (wide mode, R10); "
            "accelerator programs run 8 bit: quantize the model with --activation-bits 8"
        )
    if plan.config.activation_bits < plan.model.activation_bits:
        raise CompileError(
            f"{plan.config.name} has activations of {plan.config.activation_bits} bit, the model "
            f"needs {plan.model.activation_bits}; set activation_bits = "
            f"{plan.model.activation_bits} with --config"
        )
    graph = plan.model.graph
    names = accelerated_names(graph, plan.host_layers)
    chosen = tuple(layer for layer in graph.layers if layer.name in names)
    if not chosen:
        raise CompileError(
            "no layer is left for the accelerator; name fewer layers with --host-layers"
        )
    recurrent: str | None = None
    for layer in chosen:
        _refuse_kind(layer)
        if recurrent is not None:
            stacked = isinstance(layer, Lstm)  # the model's fault; else that of --host-layers
            raise (NoProgramError if stacked else CompileError)(
                f"layer {layer.name!r} comes after the recurrent layer {recurrent!r}; the "
                "accelerator ends with its first recurrent layer: compute the rest on the host "
                f"with --host-layers {','.join(_names_from(graph, layer))}"
            )
        if isinstance(layer, Lstm):
            recurrent = layer.name
    return replace(plan, accelerated=tuple(layer.name for layer in chosen))


def default_host_layers(graph: Graph) -> tuple[str, ...]:
    """All behind the last LSTM; without one, the output layer."""
    last = max(
        (number for number, layer in enumerate(graph.layers) if isinstance(layer, Lstm)),
        default=len(graph.layers) - 1 - isinstance(graph.layers[-1], Output),
    )
    return tuple(layer.name for layer in graph.layers[last + 1 :])


def accelerated_names(graph: Graph, host_layers: tuple[str, ...] | None) -> tuple[str, ...]:
    """All layers but those of the host; raises CompileError if these are not the last ones."""
    names = tuple(layer.name for layer in graph.layers)
    host = default_host_layers(graph) if host_layers is None else host_layers
    unknown = [name for name in host if name not in names]
    if unknown:
        raise CompileError(
            f"--host-layers: the model has no layer {unknown[0]!r}; its layers: {', '.join(names)}"
        )
    first = len(names) - len(set(host))
    if set(names[first:]) != set(host):
        raise CompileError(
            f"--host-layers {','.join(host)}: the host computes the last layers of a model; "
            f"expected the last {len(set(host))}: {', '.join(names[first:])}"
        )
    return names[:first]


def _names_from(graph: Graph, first: Layer) -> list[str]:
    names = [layer.name for layer in graph.layers]
    return names[names.index(first.name) :]


def _refuse_kind(layer: Layer) -> None:
    """Layers that are mapped and reported at most, and run in no accelerator program."""
    if isinstance(layer, Output):
        raise CompileError(
            f"layer {layer.name!r} is the output layer, whose logits are 32-bit sums (R9); the "
            "host computes it: name it with --host-layers"
        )
    what = None
    if isinstance(layer, Conv2d):
        what = "is a convolution"
    elif isinstance(layer, Lstm) and layer.projection is not None:
        what = "projects its outputs"
    elif isinstance(layer, Lstm) and layer.peephole:
        what = "has peephole weights"
    elif isinstance(layer, Lstm) and layer.bidirectional and layer.merge != "concatenate":
        what = "sums its directions"
    elif not isinstance(layer, Linear | Lstm):
        what = f"is a {type(layer).__name__}"
    if what is not None:
        raise NoProgramError(
            f"layer {layer.name!r} {what}; an accelerator program runs fully connected layers and "
            "then one LSTM without peephole, projection or summed directions. Run this model with "
            "--backend cpu"
        )
