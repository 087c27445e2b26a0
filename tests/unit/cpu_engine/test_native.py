from __future__ import annotations

import sys

import pytest

from sparsespeech.cpu_engine import native
from sparsespeech.errors import BackendError, InstructionSetError
from tests.fake_engine import put_fake_engine


@pytest.fixture(autouse=True)
def scalar_and_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    put_fake_engine(monkeypatch)
    monkeypatch.delenv("SPARSESPEECH_CPU_ISA", raising=False)


def test_highest_is_chosen() -> None:
    assert native.choose_instruction_set() == "avx2"
    assert native.available_instruction_sets() == ["scalar", "avx2"]


def test_argument_before_variable_before_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSESPEECH_CPU_ISA", "scalar")
    assert native.choose_instruction_set() == "scalar"
    assert native.choose_instruction_set("avx2") == "avx2"
    monkeypatch.setenv("SPARSESPEECH_CPU_ISA", "")
    assert native.choose_instruction_set() == "avx2"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("amx", "instruction_set asks for amx, which this processor or system lacks; "
                "here there are scalar, avx2"),
        ("sse9", "instruction_set is 'sse9', which is no instruction set of the engine"),
        ("AVX2", "is 'AVX2', which is no instruction set .* there are scalar, avx2"),
        ("", "is '', which is no instruction set"),
    ],
)  # fmt: skip
def test_refusals_name_what_there_is(wanted: str, message: str) -> None:
    with pytest.raises(InstructionSetError, match=message):
        native.choose_instruction_set(wanted)


def test_refusal_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSESPEECH_CPU_ISA", "avx512")
    with pytest.raises(InstructionSetError, match="^SPARSESPEECH_CPU_ISA asks for avx512"):
        native.choose_instruction_set()


def test_engine_that_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sparsespeech._native", None)
    with pytest.raises(BackendError, match=r"cannot be loaded: .*C\+\+20 compiler.*reference"):
        native.choose_instruction_set()
