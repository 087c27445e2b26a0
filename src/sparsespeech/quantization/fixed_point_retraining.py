"""Fixed-point retraining: the network learns with the roundings that it will run with.

Axes: B utterances, T frames, F coefficients of a frame, O outputs of a layer, V labels.

What DeePhi calls fixed-point retraining (ESE/DDESE deck): in the forward pass weights, feature
frames, layer outputs and, step by step, h, cell and gates of each LSTM are rounded and saturated
as rules R1, R2, R5, R7, R8 and R10 say; the gradient passes straight through every rounding and
is 0 where a value saturates. The float weights stay what the optimizer changes. Not rounded are
biases (their step is that of an accumulator, far below a weight's) and the sigmoid's table.

Under ``torchrun`` every worker takes the utterances of all workers into its ranges, so that all of
them round to the same grids and one process with the whole batch would learn the same ranges.

The model is left as it was: weights are exchanged for one call, activations are taken by hooks
that live as long as the call, and so does the ``rounding`` of its LSTM layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.acoustic_model.recurrent import SaturatingLstm
from sparsespeech.acoustic_model.step_rounding import Grid, StepRounding
from sparsespeech.errors import NotFiniteError
from sparsespeech.integer_arithmetic.fixed_point import (
    GATE_SCALE,
    LSTM_OUTPUT_SCALE,
    WIDE_LSTM_OUTPUT_SCALE,
    ActivationParameters,
)
from sparsespeech.quantization.calibrate import INPUT, observed_names
from sparsespeech.quantization.directions_apart import directions_apart
from sparsespeech.quantization.fake_quantize import (
    fake_quantize_activations,
    fake_quantize_weights,
)
from sparsespeech.quantization.observers import DEFAULT_MOMENTUM, MovingAverageObserver
from sparsespeech.quantization.precision import Precision
from sparsespeech.quantization.settings import FixedPoint
from sparsespeech.training.distributed import rows_of_all_workers

PEEPHOLE = "peephole"  # last word of the names of peephole parameters, [3, H]
_PEEPHOLE_BITS = 16  # R5: in both modes


class FixedPointRetraining:
    """Runs a network in training with fake-quantized weights, activations and LSTM steps."""

    def __init__(
        self, model: DeepSpeech, settings: FixedPoint, momentum: float = DEFAULT_MOMENTUM
    ) -> None:
        """Nothing is observed yet; ``momentum`` is that of calibration, one term an utterance."""
        self._model = model
        self._precision = settings.precision
        self._frozen = False
        self._observers = {
            name: MovingAverageObserver(momentum) for name in (INPUT, *observed_names(model.graph))
        }
        self._before = self._states()  # of the observers, before the last forward in training

    @property
    def precision(self) -> Precision:
        """The bits it trains for."""
        return self._precision

    @property
    def observed(self) -> bool:
        """True once the ranges hold an utterance."""
        return self._observers[INPUT].count > 0

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Log-probabilities float32[T, B, V] of normalised frames float[B, T, F].

        Frames beyond ``lengths`` (int64[B]) must be 0.0. In training mode the ranges take each
        utterance of the batch, until :meth:`freeze`; :meth:`undo` takes them out again. Wide mode
        runs without autocast: bfloat16 would undo its bits. Raises NotFiniteError if an
        activation is not finite (at every worker, if it is at one), and ConversionError where
        nothing was observed before, in evaluation mode or after :meth:`freeze`.
        """
        if self._model.training:
            self._before = self._states()
        device = frames.device.type
        keeps_autocast = torch.is_autocast_enabled(device) and not self._precision.wide
        with (
            torch.autocast(device, enabled=keeps_autocast, dtype=torch.bfloat16),
            self._rounded_layers(lengths),
        ):
            self._observe(INPUT, frames, lengths)
            output: Tensor = torch.func.functional_call(
                self._model, self._weights(), (self._rounded(INPUT, frames), lengths)
            )
        return output

    def undo(self) -> None:
        """Forget what the last :meth:`forward` in training observed, even if it failed half way.

        For a step that is left out, which must move nothing.
        """
        for name, state in self._before.items():
            self._observers[name].restore(state)

    def freeze(self) -> None:
        """Ranges stay as they are from now on."""
        self._frozen = True

    def tensors(self) -> dict[str, Tensor]:
        """What a resumed run and ``quantize`` need: float64[5] by name, for :meth:`load`."""
        frozen = torch.tensor([float(self._frozen)], dtype=torch.float64)
        return {name: torch.cat((state, frozen)) for name, state in self._states().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`tensors`; raises KeyError or ValueError if they do not fit."""
        for name, observer in self._observers.items():
            observer.restore(tensors[name][:4])
            self._frozen = bool(tensors[name][4])
        self._before = self._states()

    def _states(self) -> dict[str, Tensor]:
        """float64[4] of each observer."""
        return {name: observer.state() for name, observer in self._observers.items()}

    def _weights(self) -> dict[str, Tensor]:
        """R1: every matrix fake-quantized; the three peephole vectors share one scale (R13)."""
        quantized = {}
        for name, parameter in self._model.named_parameters():
            if name.endswith(f".{PEEPHOLE}"):
                quantized[name] = fake_quantize_weights(parameter, bits=_PEEPHOLE_BITS)
            elif parameter.ndim == 2:
                quantized[name] = fake_quantize_weights(
                    parameter, bits=self._precision.weight_bits, per_row=self._precision.per_row
                )
        return quantized

    @contextmanager
    def _rounded_layers(self, lengths: Tensor) -> Iterator[None]:
        """Hooks on layers whose outputs are rounded, and ``rounding`` of the LSTM layers.

        A projected output is rounded inside the loop over time once its range is frozen; until
        then only where it leaves the layer, because a saturated output could not widen its range.
        """
        terms: dict[str, Tensor] = {}
        with ExitStack() as stack:
            for layer in self._model.graph.layers:
                module = self._model.get_submodule(layer.name)
                rounds_itself = isinstance(module, SaturatingLstm) and self._frozen
                if isinstance(module, SaturatingLstm):
                    stack.callback(setattr, module, "rounding", module.rounding)
                    module.rounding = self._step_rounding(layer.name)
                if layer.name in self._observers and not rounds_itself:
                    hook = self._hook(layer.name, lengths, terms)
                    stack.callback(module.register_forward_hook(hook).remove)
            if not self._frozen:
                stack.enter_context(directions_apart(self._model, terms.__setitem__))
            yield

    def _hook(
        self, name: str, lengths: Tensor, terms: Mapping[str, Tensor]
    ) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def round_output(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            seen = torch.cat((terms[name], output), dim=2) if name in terms else output
            self._observe(name, seen.transpose(0, 1), lengths)
            return self._rounded(name, output)

        return round_output

    def _observe(self, name: str, x: Tensor, lengths: Tensor) -> None:
        """Take each utterance of ``x`` float[B, T, O], and of all other workers, into the range."""
        if self._frozen or not self._model.training:
            return
        time = torch.arange(x.shape[1], device=x.device)
        valid = (time < lengths[:, None]).unsqueeze(2)
        # A range is widened to hold 0, so the zeros in place of padding change nothing.
        kept = torch.where(valid, x.detach(), 0.0)
        ends = torch.stack((kept.amin(dim=(1, 2)), kept.amax(dim=(1, 2))), dim=1)
        for low, high in rows_of_all_workers(ends.double()).tolist():
            try:
                self._observers[name].observe_range(low, high)
            except NotFiniteError as error:
                raise NotFiniteError(f"{name}: {error}") from None

    def _rounded(self, name: str, x: Tensor) -> Tensor:
        """R2: ``x`` of any shape rounded to the range of ``name``, gradient straight through."""
        range_ = self._parameters(name)
        return fake_quantize_activations(
            x, range_.scale, range_.zero_point, wide=self._precision.wide
        )

    def _step_rounding(self, name: str) -> StepRounding:
        """R5, R7: gates and cell count 1/2048; R8: h counts 1/127, or 1/32768 in wide mode."""
        projected = None
        if name in self._observers and self._frozen:
            range_ = self._parameters(name)
            zero_point = range_.zero_point
            projected = Grid(range_.scale, range_.minimum - zero_point, range_.maximum - zero_point)
        hidden = WIDE_LSTM_OUTPUT_SCALE if self._precision.wide else LSTM_OUTPUT_SCALE
        return StepRounding(hidden, cell=GATE_SCALE, gates=GATE_SCALE, projected=projected)

    def _parameters(self, name: str) -> ActivationParameters:
        return self._observers[name].range().parameters(self._precision.activation_bits)
