"""The section ``pruning``: impossible values are refused, the ramp is placed in steps."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sparsespeech.pruning.settings import MatrixSettings, Pruning
from sparsespeech.pruning.structure_settings import BankBalanced, NOfM

STAGES = [{"sparsity": 0.5, "steps": 30}, {"sparsity": 0.9, "steps": 40}]


def section(**values: object) -> Pruning:
    return Pruning.model_validate({"final_sparsity": 0.9, **values})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start": 0.7, "end": 0.6}, "must be below pruning.end"),
        ({"end": 1.5}, "set unit to epochs"),
        ({"shape": "function"}, "go together"),
        ({"function": "a:b"}, "go together"),
        ({"shape": "iterative"}, "go together"),
        ({"stages": STAGES}, "go together"),
        ({"shape": "iterative", "stages": STAGES[::-1]}, "must rise"),
        ({"shape": "iterative", "stages": STAGES[:1]}, "must be final_sparsity 0.9"),
        ({"shape": "function", "function": "a:b", "final_sparsity": 0.0}, "above 0"),
        ({"shape": "iterative", "stages": STAGES, "regrowth": {}}, "regrowth"),
        ({"keep_zeros": True, "regrowth": {}}, "regrowth"),
        ({"minimum_sparsity": 0.8, "maximum_sparsity": 0.7}, "minimum_sparsity 0.8"),
        ({"structure": {"kind": "row_cap", "keep": 64, "columns": 64}}, "must be below columns"),
        ({"structure": {"kind": "n_of_m", "n": 4}}, "must be below m"),
        ({"structure": {"kind": "diagonal"}}, "diagonal"),
        ({"exceptions": {"layer1": 1.0}}, "less than 1"),
        ({"exceptions": {"layer1": {"sparsity": 2}}}, "layer1.settings.sparsity"),
        ({"structure": "bank"}, "'bank' is no structure"),
        ({"exceptions": {"layer1": {"sparsiti": 0.5}}}, "sparsiti"),
        ({"shape": "quartic"}, "quartic"),
    ],
)
def test_impossible_values(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        section(**values)
    assert message in str(caught.value)


def test_structures_written_as_text() -> None:
    change = {"structure": "2:4"}
    settings = section(structure="bank:32", exceptions={"layer1": change, "layer2": 0.5})
    assert settings.structure == BankBalanced(kind="bank_balanced", bank=32)
    assert settings.exceptions["layer1"] == MatrixSettings(structure=NOfM(kind="n_of_m"))
    assert settings.exceptions["layer2"] == 0.5
    assert Pruning.model_validate(settings.model_dump(mode="json")) == settings


def test_the_ramp_in_steps() -> None:
    assert section(start=0.1, end=0.5).ramp(steps=200, steps_per_epoch=7) == (20, 100)
    epochs = section(start=1, end=2.5, unit="epochs")
    assert epochs.ramp(steps=200, steps_per_epoch=40) == (40, 100)
    assert section(shape="one_shot", start=0.1).ramp(200, 7) == (20, 20)
    staged = section(shape="iterative", stages=STAGES, start=0.1)
    assert staged.ramp(200, 7) == (20, 50)


def test_what_does_not_fit_into_the_run() -> None:
    with pytest.raises(ValueError, match="steps 50 to 120 of 100"):
        section(start=0.5, end=1.2, unit="epochs").check_run(100, 100)
    with pytest.raises(ValueError, match="steps 0 to 0 of 1"):
        section(start=0.0, end=0.1).check_run(1, 1)
    staged = section(shape="iterative", stages=STAGES, start=0.1)
    staged.check_run(78, 1)
    with pytest.raises(ValueError, match=r"need 77 steps, but optimizer\.steps is 70"):
        staged.check_run(70, 1)


def test_the_rate_must_not_decay_in_a_ramp_but_may_in_stages() -> None:
    with pytest.raises(ValueError, match="must not decay during the ramp"):
        section(end=0.6).check_decay(0.5)
    section(shape="iterative", stages=STAGES).check_decay(0.1)
    section(shape="one_shot").check_decay(0.1)
