"""The command line as a whole: lazy imports, one-line failures, exit statuses."""

from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from sparsespeech import __version__
from sparsespeech.cli import main as cli
from sparsespeech.cli.main import main
from sparsespeech.errors import AudioError, EngineMemoryError

COMMANDS = (
    "demo", "transcribe", "stream", "data", "train", "import", "quantize", "evaluate", "inspect",
    "doctor",
)  # fmt: skip


def put_command(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``sparsespeech inspect`` raise ``error``."""

    def run() -> None:
        """Fail."""
        raise error

    monkeypatch.setitem(sys.modules, "sparsespeech.cli.inspect", SimpleNamespace(run=run))


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f" {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"Usage: sparsespeech {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sparsespeech {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("transcrib", "No such command 'transcrib'. Did you mean 'transcribe'? see "
         "'sparsespeech --help'"),
        ("--foo", "No such option: --foo; see 'sparsespeech --help'"),
        ("inspect --foo m", "No such option: --foo; see 'sparsespeech inspect --help'"),
        ("inspect", "Missing argument 'model'; see 'sparsespeech inspect --help'"),
        ("train r.yaml --threads 0", "Invalid value for '--threads'"),
        ("transcribe a.wav --format pdf", "Invalid value for '--format': 'pdf' is not one of"),
        ("data synth", "Missing "),
        ("data foo", "No such command 'foo'; see 'sparsespeech data --help'"),
        ("train --output", "Option '--output' requires an argument; see "),
    ],
)  # fmt: skip
def test_usage_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: str, line: str
) -> None:
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"sparsespeech: error: {line}")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_no_arguments_show_the_help(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "Usage: sparsespeech" in captured.out
    assert captured.err == ""


def test_help_and_version_import_no_heavy_library() -> None:
    code = """
import sys
from sparsespeech.cli.main import main
assert main([sys.argv[1]]) == 0
heavy = ("torch", "scipy", "matplotlib", "numpy", "soundfile")
print(*[name for name in heavy if name in sys.modules], file=sys.stderr)
"""
    for option in ("--help", "--version"):
        found = subprocess.run(
            [sys.executable, "-c", code, option], capture_output=True, text=True, check=True
        )
        assert found.stderr.strip() == ""


def test_installed_command_is_main(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["sparsespeech"].partition(":")
    assert getattr(importlib.import_module(module), function) is main


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AudioError("a.wav: is\nodd"), "a.wav: is odd"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.json"),
         "out.json: No space left on device; free some space and run it again"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "x: Permission denied"),
        (OSError("strange"), "strange"),
        (EngineMemoryError("the model needs 9 GB"), "the model needs 9 GB"),
        (MemoryError(), "not enough memory; give shorter recordings or a smaller model"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"),
         "torch is not installed; this command needs it: pip install 'sparsespeech[train]'"),
        (ModuleNotFoundError("No module", name="yaml.nodes"),
         "yaml is not installed; this command needs it: pip install 'sparsespeech[train]'"),
    ],
)  # fmt: skip
def test_expected_failures_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    line: str,
) -> None:
    put_command(monkeypatch, error)
    assert main(["inspect"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"sparsespeech: error: {line}\n"


def test_interrupt_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    put_command(monkeypatch, KeyboardInterrupt())
    assert main(["inspect"]) == 130


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("bug"), ModuleNotFoundError("No module", name="sparsespeech.nothing")],
)
def test_bugs_are_tracebacks(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    put_command(monkeypatch, error)
    with pytest.raises(type(error)):
        main(["inspect"])


def test_training_without_torch_names_the_extra(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("{}")
    # A process of its own: here other tests have imported torch already.
    code = "import sys; sys.modules['torch'] = None; from sparsespeech.cli.main import main; "
    done = subprocess.run(
        [sys.executable, "-c", f"{code} sys.exit(main(['train', {str(recipe)!r}]))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "torch is not installed" in done.stderr
    assert "sparsespeech[train]" in done.stderr


def test_closed_pipe_is_no_traceback() -> None:
    found = subprocess.run(
        f"{sys.executable} -m sparsespeech.cli.main --help | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in found.stderr


def test_every_command_has_a_module() -> None:
    folder = Path(cli.__file__).parent
    files = {"import": "import_"}
    names = [files.get(name, name) for name in COMMANDS]
    assert [name for name in names if not (folder / f"{name}.py").is_file()] == []
