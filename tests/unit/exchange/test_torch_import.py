"""Imported networks compute what torch computes, and orders that do not fit are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sparsespeech.errors import CheckpointError, ExchangeError
from sparsespeech.exchange.description import Description, read_description
from sparsespeech.exchange.imported_checkpoint import Speech, save_imported_network
from sparsespeech.exchange.state_dict import StateDict, read_state_dict
from sparsespeech.exchange.torch_import import ImportedNetwork, import_state_dict
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Linear, Lstm, Output
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.float_recogniser import build_model
from tests.foreign_network import COEFFICIENTS, SYMBOLS, ForeignNetwork, describe

# torch itself warns that its LSTM with a projection is slow.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")


def imported(folder: Path, network: ForeignNetwork, **changes: object) -> ImportedNetwork:
    path = folder / "model.pt"
    torch.save(network.state_dict(), path)
    description = read_description(describe(folder / "describe.yaml", **changes), {})
    return import_state_dict(read_state_dict(path), description)


def failure(folder: Path, network: ForeignNetwork, **changes: object) -> str:
    with pytest.raises(ExchangeError) as caught:
        imported(folder, network, **changes)
    return str(caught.value)


# ---- the same function -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stack": 3},
        {"bidirectional": False},
        {"bidirectional": False, "stack": 2},
        {"widths": ()},
        {"bias": False},
        {"projection": 2},
        {"projection": 3, "stack": 2, "bidirectional": False},
        {"widths": (4, 4, 4), "cells": 4, "stack": 2},
    ],
    ids=str,
)
def test_checkpoint_computes_what_torch_computes(tmp_path: Path, settings: dict[str, Any]) -> None:
    foreign = ForeignNetwork(3, **settings)
    folder = save_imported_network(imported(tmp_path, foreign), tmp_path / "run")
    ours = build_model(load_checkpoint(folder))
    frames = torch.randn(2, 11, COEFFICIENTS, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = foreign(frames)
        got = ours(frames, torch.tensor([11, 11])).transpose(0, 1)
    blank_last = torch.cat((expected[..., 1:], expected[..., :1]), dim=-1)
    torch.testing.assert_close(got, blank_last, rtol=1e-5, atol=1e-5)


def test_gate_order_is_torchs(tmp_path: Path) -> None:
    """Each gate alone: a swapped pair of gates would pass with symmetric weights only."""
    foreign = ForeignNetwork(0, widths=(), bidirectional=False)
    with torch.no_grad():
        for gate in range(4):
            foreign.rnn.bias_ih_l0[gate * 4 : gate * 4 + 4] = gate - 1.5
    folder = save_imported_network(imported(tmp_path, foreign), tmp_path / "run")
    frames = torch.ones(1, 3, COEFFICIENTS)
    with torch.no_grad():
        got = build_model(load_checkpoint(folder))(frames, torch.tensor([3]))[:, 0]
        expected = foreign(frames)[0].roll(-1, dims=-1)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_deepspeech_shape_gets_the_names_of_deepspeech(tmp_path: Path) -> None:
    network = imported(tmp_path, ForeignNetwork(widths=(8, 8, 16), cells=8))
    assert [type(layer) for layer in network.graph.layers] == [Linear] * 3 + [Lstm, Output]
    assert [layer.name for layer in network.graph.layers] == [f"layer{n}" for n in range(1, 6)]
    assert network.sources == {
        "layer1": "dense.0", "layer2": "dense.1", "layer3": "dense.2", "layer4": "rnn.l0",
        "layer5": "head",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("blank", "order"),
    [("first", [1, 2, 3, 4, 5, 0]), (0, [1, 2, 3, 4, 5, 0]), (2, [0, 1, 3, 4, 5, 2]),
     ("last", [0, 1, 2, 3, 4, 5])],
)  # fmt: skip
def test_blank_becomes_the_last_class(tmp_path: Path, blank: object, order: list[int]) -> None:
    foreign = ForeignNetwork()
    network = imported(tmp_path, foreign, blank=blank)
    last = network.graph.layers[-1].name
    assert torch.equal(network.weights[f"{last}.weight"], foreign.head.weight.detach()[order])
    assert torch.equal(network.weights[f"{last}.bias"], foreign.head.bias.detach()[order])


def test_each_relu_may_have_its_own_clip(tmp_path: Path) -> None:
    network = imported(tmp_path, ForeignNetwork(), clip={"dense.0": 6, "dense.1": "none"})
    assert [layer.clip for layer in network.graph.layers if isinstance(layer, Linear)] == [
        6.0,
        2.0**15,  # the largest that a model file may hold
    ]


def test_half_precision_converts_exactly(tmp_path: Path) -> None:
    foreign = ForeignNetwork().to(torch.bfloat16)
    network = imported(tmp_path, foreign)
    weight = network.weights["layer1.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, foreign.dense[0].weight.detach().float())


def test_normalisation_reaches_the_checkpoint(tmp_path: Path) -> None:
    statistics = {"mean": [1.0, 2.0, 3.0, 4.0, 5.0], "deviation": 2.0}
    network = imported(tmp_path, ForeignNetwork(), normalisation=statistics)
    checkpoint = load_checkpoint(save_imported_network(network, tmp_path / "run"))
    np.testing.assert_array_equal(checkpoint.mean, [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(checkpoint.deviation, [2] * 5)
    assert checkpoint.labels == tuple(SYMBOLS)
    assert checkpoint.features.context == 1
    assert checkpoint.step == 0


def test_facts_name_file_digest_and_sparsity(tmp_path: Path) -> None:
    foreign = ForeignNetwork(widths=(), stack=2)
    with torch.no_grad():
        foreign.rnn.weight_hh_l1.zero_()
    checkpoint = load_checkpoint(
        save_imported_network(imported(tmp_path, foreign), tmp_path / "run")
    )
    progress = checkpoint.facts["progress"]
    matrices = [p for p in foreign.parameters() if p.ndim == 2]
    zeros = foreign.rnn.weight_hh_l1.numel()
    assert progress["sparsity"] == zeros / sum(matrix.numel() for matrix in matrices)
    assert progress["imported"]["file"] == "model.pt"
    assert len(progress["imported"]["sha256"]) == 64


# ---- orders ----------------------------------------------------------------------------------


def test_order_of_the_file_does_not_chain(tmp_path: Path) -> None:
    foreign = ForeignNetwork()
    tensors = dict(reversed(foreign.state_dict().items()))
    with pytest.raises(ExchangeError) as caught:
        import_state_dict(
            StateDict(Path("m.pt"), tensors, ordered=True),
            read_description(describe(tmp_path / "d.yaml"), {}),
        )
    assert "head: tensor weight [6, 8]: takes 8 inputs" in str(caught.value)
    named = read_description(
        describe(tmp_path / "d.yaml"), {"layers": ["dense.0", "dense.1", "rnn", "head"]}
    )
    network = import_state_dict(StateDict(Path("m.pt"), tensors, ordered=True), named)
    assert list(network.sources.values()) == ["dense.0", "dense.1", "rnn.l0", "head"]


def test_inner_layer_that_does_not_fit_is_named(tmp_path: Path) -> None:
    foreign = ForeignNetwork()
    foreign.rnn = torch.nn.LSTM(9, 4, bidirectional=True)
    message = failure(tmp_path, foreign)
    assert "rnn: tensor weight_ih_l0 [16, 9]: takes 9 inputs, expected 6" in message
    assert "'dense.1'" in message


def test_safetensors_order_follows_from_the_widths(tmp_path: Path) -> None:
    foreign = ForeignNetwork()
    path = tmp_path / "model.safetensors"
    save_file({f"z{n}" if n else n: t for n, t in foreign.state_dict().items()}, path)
    description = read_description(describe(tmp_path / "d.yaml"), {})
    network = import_state_dict(read_state_dict(path), description)
    assert list(network.sources.values()) == ["zdense.0", "zdense.1", "zrnn.l0", "zhead"]


def test_ambiguous_order_of_safetensors_is_asked_for(tmp_path: Path) -> None:
    foreign = ForeignNetwork(widths=(8, 8, 8))
    path = tmp_path / "model.safetensors"
    save_file(foreign.state_dict(), path)
    description = read_description(describe(tmp_path / "d.yaml"), {})
    with pytest.raises(ExchangeError, match="'dense.1' and 'dense.2' and 'head' and 'rnn' all"):
        import_state_dict(read_state_dict(path), description)


@pytest.mark.parametrize("names", [["dense.0", "rnn", "head"], ["dense.0"] * 4, ["x"]])
def test_layers_must_name_each_module_once(tmp_path: Path, names: list[str]) -> None:
    message = failure(tmp_path, ForeignNetwork(), layers=names)
    assert "must name each of dense.0, dense.1, rnn, head once" in message


def test_last_module_must_be_linear(tmp_path: Path) -> None:
    message = failure(tmp_path, ForeignNetwork(), ignore=["head.*"])
    assert "the last module, 'rnn', is an nn.LSTM" in message


# ---- what a person must say ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "part"),
    [("clip", "'dense.0' is clipped: give --clip"), ("labels", "5 symbols"),
     ("blank", "--blank first"), ("normalisation", "--normalisation none")],
)  # fmt: skip
def test_nothing_is_guessed(tmp_path: Path, key: str, part: str) -> None:
    assert part in failure(tmp_path, ForeignNetwork(), **{key: None})


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"clip": {"dense.0": 1.0}}, "'dense.1' is clipped"),
        ({"labels": "abc"}, "expected 5"),
        ({"labels": "aabcd"}, "4 different symbols"),
        ({"blank": 6}, "class 6, but the last layer has 6 outputs: 0 to 5"),
        ({"features": {"context": 2, "coefficients": 5}}, "(2 x 2 + 1) frames x 5"),
        ({"features": {"contest": 2}}, "features: unknown key 'contest'; known: sample_rate_hz"),
        ({"features": {"coefficients": "13"}}, "features.coefficients: expected an integer, got "),
        ({"features": {"highest_hz": 10**400}}, "features: int too large to convert to float"),
        ({"features": {"highest_hz": "8k"}}, "features.highest_hz: expected a number, got '8k'"),
        ({"features": {"context": -1}}, "features: feature constants break the rule"),
        ({"normalisation": {"mean": [0, 1], "deviation": 1}}, "got 2 numbers, expected one or 5"),
        ({"normalisation": {"mean": 0, "deviation": [1, 1, 0, 1, 1]}}, "got 0 for coefficient 2"),
        ({"normalisation": {"mean": 0}}, "normalisation: expected none, or mean and deviation"),
        ({"clip": -1}, "clip: expected a number above 0 and up to"),
        ({"clip": {"dense.0": "soft"}}, "clip: expected a number above 0 and up to"),
        ({"labels": 5}, "labels: expected text or a list of symbols, got 5"),
        ({"clip": 1e9}, "clip"),
        ({"layerz": []}, "unknown key 'layerz'; known: layers, ignore, clip"),
        ({"ignore": ["("]}, "not a regular expression"),
    ],
    ids=str,
)
def test_description_that_cannot_be_right(
    tmp_path: Path, changes: dict[str, Any], part: str
) -> None:
    assert part in failure(tmp_path, ForeignNetwork(), **changes)


def test_description_must_be_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    for content, part in ((b"- 1", "mapping, got list"), (b"a: [", "YAML"), (b"\xff", "YAML")):
        path.write_bytes(content)
        with pytest.raises(ExchangeError, match=part):
            read_description(path, {})
    with pytest.raises(ExchangeError, match="cannot read"):
        read_description(tmp_path / "nothing.yaml", {})


def test_options_replace_entries_and_leave_the_others(tmp_path: Path) -> None:
    path = describe(tmp_path / "d.yaml")
    changed = read_description(path, {"clip": "2.5", "blank": "3", "labels": None})
    assert (changed.clip, changed.blank, changed.labels) == (2.5, 3, SYMBOLS)
    assert read_description(None, {"clip": "none"}) == Description(clip="none")


def test_whole_numbers_stand_for_hertz_too(tmp_path: Path) -> None:
    features = {"context": 2, "coefficients": COEFFICIENTS, "highest_hz": 7000}
    described = read_description(describe(tmp_path / "d.yaml", features=features), {})
    config = described.feature_config()
    assert config.highest_hz == 7000.0
    assert MfccConfig.from_json(config.to_json()) == config  # a checkpoint of it can be read


# ---- the checkpoint --------------------------------------------------------------------------


def test_run_folder_with_checkpoints_is_left_alone(tmp_path: Path) -> None:
    network = imported(tmp_path, ForeignNetwork())
    folder = save_imported_network(network, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ExchangeError, match="holds checkpoints already"):
        save_imported_network(imported(tmp_path, ForeignNetwork(9)), tmp_path / "run")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_labels_of_several_characters_cannot_be_trained_on(tmp_path: Path) -> None:
    network = imported(tmp_path, ForeignNetwork(), labels=[" ", "a", "b", "c", "sch"])
    speech = Speech(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    with pytest.raises(ExchangeError, match="symbols of one character only"):
        save_imported_network(network, tmp_path / "run", speech)
    assert load_checkpoint(save_imported_network(network, tmp_path / "run")).labels[-1] == "sch"


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot save"):
        save_imported_network(imported(tmp_path, ForeignNetwork()), tmp_path / "file" / "run")
