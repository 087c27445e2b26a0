"""A model file back to float weights, against the checkpoint that it was made from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsespeech.errors import ExchangeError
from sparsespeech.exchange.imported_checkpoint import save_imported_network, unsaved_checkpoint
from sparsespeech.exchange.integer_import import import_model_file
from sparsespeech.model_file.lookup import bundled_models
from sparsespeech.model_file.model import IntegerModel, Requantizer, SparseMatrix
from sparsespeech.model_file.statistics import layer_matrices
from sparsespeech.model_file.writer import write_model
from sparsespeech.quantization.calibrate import calibrate
from sparsespeech.quantization.convert import Conversion, convert
from sparsespeech.quantization.precision import EIGHT_BIT, Precision
from sparsespeech.training.checkpoint import Checkpoint, load_checkpoint
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint, random_frames
from tests.random_models import random_integer_model

LSTMS: list[dict[str, Any]] = [
    {},
    {"projection": 3},
    {"projection": 3, "merge": "sum", "peephole": True},
    {"bidirectional": False, "peephole": True},
]
PRECISIONS = [EIGHT_BIT, Precision(per_row=True), Precision(12, 16), Precision(16, 16, True)]


def converted(
    seed: int, lstm: dict[str, Any], precision: Precision
) -> tuple[Checkpoint, Conversion, Any]:
    checkpoint = random_checkpoint(seed, lstm=lstm)
    calibration = calibrate(build_model(checkpoint), [random_frames(seed, 30)])
    return checkpoint, convert(checkpoint, calibration, precision), calibration


@given(st.integers(0, 2**20), st.sampled_from(LSTMS), st.sampled_from(PRECISIONS))
def test_weights_come_back_to_half_a_step(
    tmp_path_factory: pytest.TempPathFactory, seed: int, lstm: dict[str, Any], precision: Precision
) -> None:
    checkpoint, conversion, calibration = converted(seed, lstm, precision)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_model(conversion.model, path)
    network = import_model_file(path)
    assert (network.graph, network.features) == (checkpoint.graph, checkpoint.features)
    assert network.labels == checkpoint.labels
    np.testing.assert_array_equal(network.mean, checkpoint.mean)
    np.testing.assert_array_equal(network.deviation, checkpoint.deviation)
    assert set(network.weights) == set(checkpoint.weights)
    steps = weight_steps(conversion)
    for name, weights in checkpoint.weights.items():
        if name not in steps:
            continue
        values, back = weights.double().numpy(), network.weights[name].double().numpy()
        assert (back[values == 0.0] == 0.0).all()
        error = np.abs(back - values).max(axis=1)
        # Half a step of rounding, 2^-16 of each scale on the way from the input to this layer.
        allowed = 0.5 * steps[name] + 2.0**-12 * np.abs(values).max(axis=1)
        assert (error <= allowed).all(), (name, error, allowed)
    again = convert(unsaved_checkpoint(network), calibration, precision)
    same_integers(conversion.model, again.model)


def weight_steps(conversion: Conversion) -> dict[str, NDArray[np.float64]]:
    """Scale of each matrix by the name of its float weights."""
    names = {
        "forward": "directions.0", "backward": "directions.1", "input_weights": "weight_ih",
        "recurrent_weights": "weight_hh", "projection.weights": "weight_projection",
        "weights": "weight",
    }  # fmt: skip
    steps = {}
    for facts in conversion.matrices:
        layer, _, rest = facts.name.partition(".")
        side, _, matrix = rest.partition(".") if "." in rest else ("", "", rest)
        parts = [layer, *([names[side]] if side else []), names[matrix]]
        steps[".".join(parts)] = facts.scale
    return steps


def same_integers(old: IntegerModel, new: IntegerModel) -> None:
    """All weights equal, biases and multipliers to the rounding of one multiplier."""
    for before, after in zip(old.layers, new.layers, strict=True):
        pairs = zip(layer_matrices(before), layer_matrices(after), strict=True)
        for (name, one), (_, other) in pairs:
            np.testing.assert_array_equal(one.row_start, other.row_start, err_msg=name)
            np.testing.assert_array_equal(one.column, other.column, err_msg=name)
            np.testing.assert_array_equal(one.value, other.value, err_msg=name)
        if hasattr(before, "bias"):
            largest = np.abs(before.bias).max()
            np.testing.assert_allclose(after.bias, before.bias, rtol=0, atol=2 + largest * 2**-12)
        if hasattr(before, "requantize"):
            old_ratio, new_ratio = ratio(before.requantize), ratio(after.requantize)
            np.testing.assert_allclose(new_ratio, old_ratio, rtol=2**-12)


def ratio(requantize: Requantizer) -> NDArray[np.float64]:
    return requantize.multiplier / np.exp2(requantize.shift)


def test_peephole_weights_come_back(tmp_path: Path) -> None:
    checkpoint, conversion, _ = converted(1, {"peephole": True}, EIGHT_BIT)
    write_model(conversion.model, tmp_path / "m.safetensors")
    network = import_model_file(tmp_path / "m.safetensors")
    for name in ("layer4.directions.0.peephole", "layer4.directions.1.peephole"):
        difference = network.weights[name] - checkpoint.weights[name]
        assert difference.abs().max() <= checkpoint.weights[name].abs().max() / 32767


def test_biases_come_back(tmp_path: Path) -> None:
    checkpoint, conversion, _ = converted(2, {}, EIGHT_BIT)
    write_model(conversion.model, tmp_path / "m.safetensors")
    network = import_model_file(tmp_path / "m.safetensors")
    for name in ("layer1", "layer2", "layer5", "layer6"):
        np.testing.assert_allclose(
            network.weights[f"{name}.bias"], checkpoint.weights[f"{name}.bias"], atol=1e-3
        )
    lstm = "layer4.directions.1."
    np.testing.assert_allclose(
        network.weights[lstm + "bias_ih"] + network.weights[lstm + "bias_hh"],
        checkpoint.weights[lstm + "bias_ih"] + checkpoint.weights[lstm + "bias_hh"],
        atol=1e-3,
    )


@pytest.mark.parametrize("name", sorted(bundled_models()))
def test_bundled_models_are_checkpoints(tmp_path: Path, name: str) -> None:
    network = import_model_file(bundled_models()[name])
    folder = save_imported_network(network, tmp_path / "run")
    stored = load_checkpoint(folder)
    assert stored.graph == network.graph
    matrices = [tensor for tensor in stored.weights.values() if tensor.ndim == 2]
    zeros = sum(int((matrix == 0).sum()) for matrix in matrices)
    assert zeros / sum(matrix.numel() for matrix in matrices) > 0.85


def without_scales(model: IntegerModel) -> IntegerModel:
    return replace(model, quantization={"calibration": "by hand"})


def scaled(pattern: str, factor: float) -> Callable[[IntegerModel], IntegerModel]:
    """The facts with the scales of the matrices that ``pattern`` names times ``factor``."""

    def change(model: IntegerModel) -> IntegerModel:
        assert model.quantization is not None
        scales = {
            name: factor * scale if re.search(pattern, name) else scale
            for name, scale in model.quantization["weight_scales"].items()
        }
        return replace(model, quantization={"weight_scales": scales})

    return change


NOT_THOSE = "do not fit its integers, as shows at"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_scales, "does not say the scale of layer1.weights"),
        (scaled("", 0.0), "does not say the scale of layer1.weights"),
        (scaled("", 3.0), f"{NOT_THOSE} layer1.weights"),
        (scaled("", 0.5), NOT_THOSE),
        (scaled("layer2", 0.5), f"{NOT_THOSE} layer4.forward.input_weights"),
        (scaled("layer3", 0.5), f"{NOT_THOSE} layer4.forward.input_weights"),
        (scaled("forward.projection", 3.0), f"{NOT_THOSE} layer4.forward.recurrent_weights"),
        (scaled("backward.recurrent", 1.01), f"{NOT_THOSE} layer4.backward.recurrent_weights"),
        (scaled("layer1", 1e-308), NOT_THOSE),
        (scaled("forward.projection", 1e300), NOT_THOSE),
        (scaled("layer6", 1.01), f"{NOT_THOSE} layer6.weights"),
    ],
)
def test_scales_that_cannot_be(tmp_path: Path, change: Any, message: str) -> None:
    checkpoint = random_checkpoint(3, lstm={"projection": 3})
    # Frames so large that the clip at 20 is what ends the range.
    calibration = calibrate(build_model(checkpoint), [60.0 * random_frames(3, 30)])
    model = convert(checkpoint, calibration).model
    write_model(change(model), tmp_path / "m.safetensors")
    with pytest.raises(ExchangeError, match=message):
        import_model_file(tmp_path / "m.safetensors")


def test_convolutions_are_refused(tmp_path: Path) -> None:
    model = random_integer_model(np.random.default_rng(0), convolution=True)
    write_model(model, tmp_path / "m.safetensors")
    with pytest.raises(ExchangeError, match="conv1 is a convolution"):
        import_model_file(tmp_path / "m.safetensors")


def test_matrices_without_weights(tmp_path: Path) -> None:
    _, conversion, _ = converted(4, {}, EIGHT_BIT)
    first = conversion.model.layers[0]
    empty = SparseMatrix(
        first.weights.shape,  # type: ignore[union-attr]
        np.zeros(first.weights.shape[0] + 1, dtype=np.int64),  # type: ignore[union-attr]
        np.zeros(0, dtype=np.int32),
        np.zeros(0, dtype=np.int8),
    )
    layers = (replace(first, weights=empty), *conversion.model.layers[1:])
    write_model(replace(conversion.model, layers=layers), tmp_path / "m.safetensors")
    network = import_model_file(tmp_path / "m.safetensors")
    assert not network.weights["layer1.weight"].any()
    assert network.weights["layer2.weight"].any()
