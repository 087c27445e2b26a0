"""DeepSpeech: every row of Table I, windows, independence of the batch."""

import numpy as np
import pytest
import torch

from sparsespeech.acoustic_model import deepspeech as module_of_deepspeech
from sparsespeech.acoustic_model.deepspeech import DeepSpeech, prunable_names
from sparsespeech.features.context_window import context_windows
from sparsespeech.graph import deepspeech

TABLE_I_MILLIONS = {  # MAU paper, Table I
    "layer1": 1.01,
    "layer2": 4.20,
    "layer3": 8.39,
    "layer4": 100.70,
    "layer5": 8.39,
    "layer6": 0.06,
}


@pytest.fixture(scope="module")
def full_model() -> DeepSpeech:
    with torch.device("meta"):  # shapes only: nothing is allocated
        return DeepSpeech(deepspeech(2048), context=9, coefficients=26)


@pytest.mark.parametrize("layer", TABLE_I_MILLIONS)
def test_row_of_table_1(full_model: DeepSpeech, layer: str) -> None:
    parameters = sum(p.numel() for p in full_model.get_submodule(layer).parameters())
    assert round(parameters / 1e6, 2) == TABLE_I_MILLIONS[layer]


def test_total_of_table_1(full_model: DeepSpeech) -> None:
    assert round(sum(p.numel() for p in full_model.parameters()) / 1e6, 2) == 122.75


def test_the_unidirectional_variant_halves_what_follows() -> None:
    model = DeepSpeech(deepspeech(16, bidirectional=False), context=9, coefficients=26)
    assert tuple(model.get_parameter("layer5.weight").shape) == (16, 16)
    assert not model.graph.bidirectional


def test_prunable_names_are_the_matrices() -> None:
    model = DeepSpeech(deepspeech(8), context=1, coefficients=26)
    assert "layer4.directions.1.weight_hh" in prunable_names(model)
    assert not any("bias" in name for name in prunable_names(model))
    assert len(prunable_names(model)) == 9


def test_windows_are_those_of_the_runtime() -> None:
    model = DeepSpeech(deepspeech(8, inputs=5 * 3), context=2, coefficients=3)
    frames = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    ours = model.windows(torch.from_numpy(frames)[None])[:, 0].numpy()
    np.testing.assert_array_equal(ours, context_windows(frames, 2, 0.0))


def test_an_utterance_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    model = DeepSpeech(deepspeech(12, inputs=5 * 4), context=2, coefficients=4).eval()
    lengths = torch.tensor([11, 6])
    frames = torch.randn(2, 11, 4)
    frames[1, 6:] = 0
    together = model(frames, lengths)
    alone = model(frames[1:, :6], lengths[1:])
    torch.testing.assert_close(together[:6, 1:], alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.exp().sum(-1), torch.ones(11, 2))


def test_patterns_are_those_of_matrices_that_are_sparse_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module_of_deepspeech, "kernels_available", lambda: True)
    network = DeepSpeech(deepspeech(8), context=9, coefficients=26)
    masks = {
        "layer2.weight": torch.eye(8),
        "layer3.weight": torch.ones(16, 8),
        "layer4.directions.1.weight_hh": torch.eye(8).repeat(4, 1),
    }
    network.set_sparse_patterns(masks)
    found = {
        f"{name}.{key}"
        for name, module in network.named_modules()
        for key in getattr(module, "patterns", {})
    }
    assert found == {"layer2.weight", "layer4.directions.1.weight_hh"}
    monkeypatch.setattr(module_of_deepspeech, "kernels_available", lambda: False)
    network.set_sparse_patterns(masks)
    assert not any(getattr(module, "patterns", {}) for module in network.modules())
