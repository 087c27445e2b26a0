"""What the project promises about itself: fast light imports, import rules, sizes, documents."""

from __future__ import annotations

import ast
import importlib
import operator
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import sparsespeech

IMPORT_SECONDS = 0.3
EXTRAS = ("torch", "pydantic", "yaml", "tensorboard", "av", "matplotlib", "onnx", "amaranth")
TRAINING_PACKAGES = ("acoustic_model", "exchange", "training", "pruning", "quantization")
# Modules that import the library of one peer, which is no part of what the tests install.
PEER_MODULES = ("sparsespeech.benchmarks.peers_", "sparsespeech.benchmarks.onnx_graph")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".yaml", ".json", ".cc", ".h", ".cff", ".cfg"}
SOURCE_LINES = 400
FUNCTION_LINES = 60
FILE_BYTES = 3_000_000


def run_python(code: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def module_names() -> list[str]:
    return [
        found.name
        for found in pkgutil.walk_packages(sparsespeech.__path__, "sparsespeech.")
        if not found.name.startswith("sparsespeech._")
    ]


def tracked_files(repository: Path) -> list[Path]:
    """Files under version control, or about to be."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("the source tree is not a git checkout")
    files = [repository / name for name in listing.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def text_files(repository: Path) -> list[Path]:
    named = {"Makefile", "CMakeLists.txt", "run", ".gitignore", ".clang-format"}
    return [
        file
        for file in tracked_files(repository)
        if file.suffix in TEXT_SUFFIXES or file.name in named
    ]


def source_files(repository: Path) -> list[Path]:
    return sorted((repository / "src").rglob("*.py"))


def project_table(repository: Path) -> dict[str, object]:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


# ---- imports ---------------------------------------------------------------------------------


def test_import_takes_less_than_the_stated_time() -> None:
    # Processor time of the best of five runs: a busy machine must not fail it.
    code = (
        "import time; start = time.process_time(); import sparsespeech; "
        "print(time.process_time() - start)"
    )
    assert min(float(run_python(code)) for _ in range(5)) < IMPORT_SECONDS


@pytest.mark.parametrize("module", ["sparsespeech", "sparsespeech.cli.main"])
def test_import_loads_no_extra_and_no_heavy_library(module: str) -> None:
    heavy = (*EXTRAS, "scipy", "soundfile", "soxr", "jiwer")
    code = f"import sys, {module}; print(*[n for n in {heavy!r} if n in sys.modules])"
    assert run_python(code).split() == []


def test_base_modules_work_without_the_extras() -> None:
    base = [
        name
        for name in module_names()
        if name.split(".")[1] not in TRAINING_PACKAGES and not name.startswith(PEER_MODULES)
    ]
    code = f"""
import importlib, sys
sys.modules.update(dict.fromkeys({EXTRAS!r}))  # None: an import of it fails
for name in {base!r}:
    importlib.import_module(name)
"""
    run_python(code)


@pytest.mark.parametrize("name", module_names())
def test_every_module_imports_and_has_a_docstring(name: str) -> None:
    if name.startswith(PEER_MODULES):
        assert pytest.importorskip(name, exc_type=ModuleNotFoundError).__doc__
    else:
        assert importlib.import_module(name).__doc__


@pytest.mark.parametrize("name", sparsespeech.__all__)
def test_every_exported_name_exists(name: str) -> None:
    assert getattr(sparsespeech, name) is not None


def test_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'transcripe'"):
        operator.attrgetter("transcripe")(sparsespeech)


def test_import_rules(repository: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    finished = subprocess.run(
        [linter, "--no-cache"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout


def test_every_package_is_under_an_import_rule(repository: Path) -> None:
    configuration = tomllib.loads((repository / "pyproject.toml").read_text())
    contracts = configuration["tool"]["importlinter"]["contracts"]
    ruled = {name for contract in contracts for name in contract.get("source_modules", [])}
    top_level = {name for name in module_names() if name.count(".") == 1}
    assert top_level - ruled == set()


# ---- the package and its version ------------------------------------------------------------


def test_one_version_everywhere(repository: Path) -> None:
    version = project_table(repository)["version"]
    assert sparsespeech.__version__ == version
    assert f"\nversion: {version}\n" in (repository / "CITATION.cff").read_text()
    assert f"\n## [{version}]" in (repository / "CHANGELOG.md").read_text()


def test_installed_version_is_that_of_the_sources() -> None:
    try:
        installed = metadata.version("sparsespeech")
    except metadata.PackageNotFoundError:
        pytest.skip("running from the source tree, nothing is installed")
    assert installed == sparsespeech.__version__


def test_init_is_short(repository: Path) -> None:
    init = repository / "src" / "sparsespeech" / "__init__.py"
    assert len(init.read_text().splitlines()) <= 40


def test_every_dependency_states_its_reason(repository: Path) -> None:
    lines = (repository / "pyproject.toml").read_text().splitlines()
    requirements = [line for line in lines if re.match(r'    "[a-z-]+>=', line)]
    assert len(requirements) > 10
    assert [line for line in requirements if "# " not in line] == []


def test_every_dependency_is_pinned_in_the_constraints(repository: Path) -> None:
    project = project_table(repository)
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(name for extra in extras.values() for name in extra)]
    pinned = re.findall(r"^([a-z-]+)==", (repository / "constraints.txt").read_text(), re.MULTILINE)
    assert {re.split("[>=]", requirement)[0] for requirement in wanted} - set(pinned) == set()


# ---- the source tree -------------------------------------------------------------------------


def test_no_machine_path_in_the_repository(repository: Path) -> None:
    machine_path = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt|tmp/dev|opt)/")
    found = [
        f"{file.relative_to(repository)}:{number}: {line.strip()}"
        for file in text_files(repository)
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if machine_path.search(line)
    ]
    assert found == []


def test_source_files_are_short(repository: Path) -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in source_files(repository)}
    assert {str(file): length for file, length in lengths.items() if length > SOURCE_LINES} == {}


def test_functions_are_short(repository: Path) -> None:
    found = []
    for file in source_files(repository):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            start = (
                node.body[1].lineno if ast.get_docstring(node) and node.body[1:] else node.lineno
            )
            if (node.end_lineno or start) - start + 1 > FUNCTION_LINES:
                found.append(f"{file.relative_to(repository)}:{node.lineno} {node.name}")
    assert found == []


def test_no_file_is_large(repository: Path) -> None:
    sizes = {file: file.stat().st_size for file in tracked_files(repository)}
    assert {str(file): size for file, size in sizes.items() if size > FILE_BYTES} == {}


# ---- documents -------------------------------------------------------------------------------


def test_links_between_documents_lead_somewhere(repository: Path) -> None:
    broken = []
    for document in [file for file in tracked_files(repository) if file.suffix == ".md"]:
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.relative_to(repository)}: {target}")
    assert broken == []


def test_environment_variables_are_documented(repository: Path) -> None:
    variable = re.compile(r"\bSPARSESPEECH_[A-Z_]+\b")
    code = [*source_files(repository), repository / "pyproject.toml"]
    used = {name for file in code for name in variable.findall(file.read_text())}
    page = (repository / "docs" / "environment_variables.md").read_text()
    assert used == set(variable.findall(page))
