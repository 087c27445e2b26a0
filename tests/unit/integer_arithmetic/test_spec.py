"""spec.md states R1 to R13, and code and tests cite every one of them."""

import re
from pathlib import Path

import pytest

import sparsespeech.integer_arithmetic as package
from sparsespeech.integer_arithmetic import fixed_point

FOLDER = Path(package.__file__).parent
SPEC = (FOLDER / "spec.md").read_text()
TESTS = Path(__file__).parents[2]
RULES = [f"R{number}" for number in range(1, 14)]


def citations(text: str) -> set[str]:
    """Rule numbers in ``text``; "R5 to R8" cites all four."""
    cited = set(re.findall(r"\bR\d+\b", text))
    for first, last in re.findall(r"\bR(\d+) to R(\d+)\b", text):
        cited |= {f"R{number}" for number in range(int(first), int(last) + 1)}
    return cited


def test_the_specification_has_a_section_a_rule_in_order():
    assert re.findall(r"^## (R\d+) ", SPEC, re.MULTILINE) == RULES


@pytest.mark.parametrize("rule", RULES)
def test_the_reference_cites_the_rule(rule):
    reference = [path for path in FOLDER.glob("*.py") if path.name != "test_vectors.py"]
    lines = [
        line
        for path in reference
        for line in path.read_text().splitlines()
        if rule in citations(line) and not line.startswith('"""')
    ]
    assert lines


@pytest.mark.parametrize("rule", RULES)
def test_tests_cite_the_rule(rule):
    files = [*(TESTS / "conformance").glob("*.py"), *Path(__file__).parent.glob("*.py")]
    others = [path for path in files if path != Path(__file__)]
    assert [path.name for path in others if rule in citations(path.read_text())]


def test_no_rule_is_cited_that_does_not_exist():
    for path in FOLDER.rglob("*.py"):
        assert citations(path.read_text()) <= set(RULES), path.name


def test_the_specification_states_the_constants_of_the_code():
    for constant in (
        f"m*{fixed_point.LSTM_OUTPUT_MULTIPLIER}",
        f"s = {fixed_point.LSTM_OUTPUT_SHIFT}",
        f"z = {fixed_point.LSTM_OUTPUT_ZERO_POINT}",
        f"1 <= s <= {fixed_point.SHIFT_MAXIMUM}",
        "2^15 <= M < 2^16",
        "base[64] = 32757",
    ):
        assert constant in SPEC
