"""No source of the package can run code that a file brings: no pickle, no eval, no torch.load."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "torch.load", "torch.save", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen",
}  # fmt: skip


def forbidden(source: str) -> list[str]:
    """Line and name of each import, call and keyword that the rule forbids."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            switched_on = [
                keyword
                for keyword in node.keywords
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
            ]
            # torch's own loader of tensors alone refuses everything else in a file.
            tensors_only = any(
                keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True"
                for keyword in node.keywords
            )
            if (called in FORBIDDEN_CALLS and not tensors_only) or switched_on:
                found.append(f"{node.lineno}: {ast.unparse(node)}")
        found += [
            f"{node.lineno}: import {name}"
            for name in names
            if name.partition(".")[0] in FORBIDDEN_MODULES
        ]
    return found


def test_no_source_runs_code_of_a_file(repository: Path) -> None:
    sources = sorted((repository / "src").rglob("*.py"))
    assert len(sources) > 10
    found = {str(source): forbidden(source.read_text()) for source in sources}
    assert {source: lines for source, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "eval(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=safe)",
        "numpy.load(path, allow_pickle=True)",
        "import os; os.system('ls')",
    ],
)
def test_the_search_finds(line: str) -> None:
    assert forbidden(line)


@pytest.mark.parametrize(
    "line",
    [
        "import re; re.compile('a')",
        "numpy.load(path, allow_pickle=False)",
        "torch.load(path, weights_only=True)",
        "model.eval()",
    ],
)
def test_the_search_passes(line: str) -> None:
    assert not forbidden(line)
