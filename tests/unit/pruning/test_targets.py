"""What each matrix is pruned to: regular expressions, exceptions, suggested sparsities."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsespeech.errors import RecipeError, SensitivityError
from sparsespeech.pruning.settings import Pruning
from sparsespeech.pruning.structure_settings import BankBalanced, Unstructured
from sparsespeech.pruning.targets import resolve_targets
from tests.suggested_sparsities import write_suggestion

SHAPES = {
    "layer1.weight": (16, 40),
    "layer4.directions.0.weight_ih": (64, 16),
    "layer4.directions.0.weight_hh": (64, 16),
    "layer6.weight": (6, 16),
}
LSTM = "layer4.directions.0.weight_hh"


def section(**values: object) -> Pruning:
    return Pruning.model_validate({"final_sparsity": 0.9, **values})


def sparsities(settings: Pruning) -> dict[str, float]:
    return {name: target.sparsity for name, target in resolve_targets(settings, SHAPES).items()}


def test_default_exceptions_spare_the_first_and_the_last_layer() -> None:
    assert sparsities(section()) == dict(zip(SHAPES, [0.85, 0.9, 0.9], strict=False))


def test_default_exceptions_need_not_match_but_own_ones_must() -> None:
    shapes = {"lstm.weight_ih": (8, 8), "last.weight": (8, 8)}
    assert resolve_targets(section(), shapes)["lstm.weight_ih"].sparsity == 0.9
    with pytest.raises(RecipeError, match=r"pruning\.exceptions: 'layer9' matches no"):
        sparsities(section(exceptions={"layer9": 0.5}))
    with pytest.raises(RecipeError, match="not a regular expression"):
        sparsities(section(exceptions={"(": 0.5}))


def test_the_last_match_counts() -> None:
    values = sparsities(section(exceptions={"layer4": 0.5, "weight_hh": 0.7, "layer6": 0.0}))
    assert values == dict(zip(SHAPES, [0.9, 0.5, 0.7], strict=False))


def test_included_matrices_only() -> None:
    assert list(sparsities(section(include=["weight_ih$", "layer1"]))) == list(SHAPES)[:2]
    with pytest.raises(RecipeError, match=r"pruning\.include"):
        sparsities(section(include=["weight_zz$"]))


def test_settings_of_one_matrix() -> None:
    change = {"structure": {"kind": "bank_balanced", "bank": 16}, "scope": "gate"}
    targets = resolve_targets(section(exceptions={"weight_hh": change}), SHAPES)
    assert targets[LSTM].structure == BankBalanced(kind="bank_balanced", bank=16)
    assert (targets[LSTM].scope, targets[LSTM].sparsity) == ("gate", 0.9)
    assert targets["layer1.weight"].structure == Unstructured()
    assert targets["layer1.weight"].scope == "layer"


def test_a_sparsity_of_its_own_leaves_the_pool() -> None:
    exceptions = {"layer1": 0.5, "weight_hh": {"minimum": 0.6, "maximum": 0.95}}
    targets = resolve_targets(section(scope="global", exceptions=exceptions), SHAPES)
    assert targets["layer1.weight"].scope == "layer"
    assert targets[LSTM].scope == "global"
    assert (targets[LSTM].minimum, targets[LSTM].maximum) == (0.6, 0.95)


def test_a_bank_must_keep_a_weight() -> None:
    structure = {"kind": "bank_balanced", "bank": 8}
    with pytest.raises(RecipeError, match="leaves no weight in a bank of 8"):
        sparsities(section(final_sparsity=0.96, structure=structure))
    # Rows narrower than a bank are one bank.
    wide = section(final_sparsity=0.97, exceptions={}, structure={**structure, "bank": 64})
    with pytest.raises(RecipeError, match="leaves no weight in a bank of 16"):
        sparsities(wide)


def test_a_pattern_may_ask_for_more_zeros() -> None:
    structure = {"kind": "n_of_m", "n": 1, "m": 4}
    values = sparsities(section(final_sparsity=0.5, exceptions={}, structure=structure))
    assert set(values.values()) == {0.75}


def test_suggested_sparsities(tmp_path: Path) -> None:
    suggested = {"layer1.weight": 0.6, LSTM: 0.95, "layer6.weight": 0.2}
    path = write_suggestion(tmp_path / "s.json", suggested, list(SHAPES))
    # They replace final_sparsity and the default exceptions; own exceptions win.
    assert sparsities(section(from_sensitivity=path)) == {
        **suggested,
        "layer4.directions.0.weight_ih": 0.9,
    }
    own = sparsities(section(from_sensitivity=path, exceptions={"layer6": 0.0}))
    assert own["layer1.weight"] == 0.6
    assert "layer6.weight" not in own
    pooled = resolve_targets(section(from_sensitivity=path, scope="global"), SHAPES)
    assert pooled[LSTM].scope == "layer"


def test_suggestions_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    with pytest.raises(SensitivityError, match=r"s\.json"):
        sparsities(section(from_sensitivity=str(path)))
    for matrices, message in (
        (None, "suggests no sparsities yet"),
        ({"layer9.weight": 0.5}, "has no matrix 'layer9.weight'"),
    ):
        write_suggestion(path, matrices, list(matrices or SHAPES))
        with pytest.raises(RecipeError, match=message):
            sparsities(section(from_sensitivity=str(path)))


def test_the_default_exceptions_fit_networks_with_other_names() -> None:
    settings = Pruning(final_sparsity=0.9)
    shapes = {name: (8, 8) for name in ("first.weight", "second.weight", "out.weight")}
    targets = resolve_targets(settings, shapes)
    assert {name: target.sparsity for name, target in targets.items()} == {
        "first.weight": 0.9,
        "second.weight": 0.9,
    }
    lstmp = {f"layer{number}.weight": (8, 8) for number in range(1, 5)}
    chosen = {name: target.sparsity for name, target in resolve_targets(settings, lstmp).items()}
    assert chosen == {"layer1.weight": 0.85, "layer2.weight": 0.9, "layer3.weight": 0.9}


def test_suggestions_hold_for_the_structure_that_was_scanned(tmp_path: Path) -> None:
    suggested = {"layer1.weight": 0.6, LSTM: 0.75}
    path = write_suggestion(tmp_path / "s.json", suggested, list(suggested), structure="bank:8")
    bank = {"kind": "bank_balanced", "bank": 8}
    assert sparsities(section(from_sensitivity=path, final_sparsity=0.7, structure=bank)) == {
        **suggested,
        "layer4.directions.0.weight_ih": 0.7,
    }
    with pytest.raises(RecipeError, match="scanned as bank:8, but is to be pruned as unstructured"):
        sparsities(section(from_sensitivity=path))
    # A sparsity of the user's own was never measured, so no pattern contradicts it.
    own = {"layer1": 0.5, "weight_hh": {"structure": bank}}
    assert sparsities(section(from_sensitivity=path, exceptions=own))["layer1.weight"] == 0.5
    with pytest.raises(RecipeError, match="weight_hh was scanned as bank:8"):
        sparsities(section(from_sensitivity=path, exceptions={"layer1": 0.5}))
