"""The command ``sparsespeech``: its list of commands and its way of failing.

A command's module is imported only when that command runs, so ``--help`` stays fast and needs
neither torch nor scipy. An expected failure is one line on stderr and exit status 2; a bug is a
traceback; Ctrl-C is status 130.
"""

from __future__ import annotations

import errno
import importlib
import keyword
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from sparsespeech import __version__
from sparsespeech.cli.failure import FAILURE_STATUS, print_failure
from sparsespeech.errors import MissingDependencyError, SparseSpeechError

# Commands in the order of --help. Each is the function `run` or the typer application `app` of
# the module sparsespeech.cli.NAME, or NAME_ where NAME is a word of Python.
_COMMANDS = {
    "demo": "Transcribe the bundled recordings with the bundled model; facts and timing.",
    "transcribe": "Transcribe recordings: text, JSON or subtitles.",
    "stream": "Transcribe sound while it comes in.",
    "data": "Build corpora, manifests and language models.",
    "train": "Train, prune and retrain a model by a recipe.",
    "sensitivity": "Which matrices bear pruning, and how much each.",
    "prune": "Prune a trained network, at once or while it trains on.",
    "import": "Bring a torch network of nn.Linear and nn.LSTM layers.",
    "export": "Write a checkpoint packed: nonzeros only, in small files.",
    "quantize": "Turn a checkpoint into an integer model file.",
    "compress": "Few shared weights and Huffman codes: the smallest file of a model.",
    "evaluate": "Word error rates of models on a manifest.",
    "inspect": "Layers, sparsity and sizes of a model file.",
    "compile": "Lay a model over an accelerator: program, mapping, efficiency.",
    "explore": "Sweep accelerators for a model: latency against multipliers and memory.",
    "simulate": "Run a program bit- and cycle-exactly: latency, stalls, utilisation, trace.",
    "tune": "Search once for the fastest kernels and order of a model on this processor.",
    "bench": "Measure the CPU engine beside other inference libraries.",
    "doctor": "Check this machine, the installation, models and recordings.",
}
# The base of every error of usage; typer exports only this child of it.
_USAGE_ERROR: Any = typer.BadParameter.__base__
# Libraries outside the base installation, and the extra of the package that brings each.
_EXTRAS = {
    "torch": "train",
    "pydantic": "train",
    "yaml": "train",
    "tensorboard": "tensorboard",
    "av": "media",
}


class LazyGroup(TyperGroup):
    """Knows the commands by name and summary; imports the one that runs."""

    def __init__(self, **settings: Any) -> None:
        """Fill the help text with stand-ins of name and summary."""
        super().__init__(**settings)
        for name, summary in _COMMANDS.items():
            self.add_command(TyperCommand(name, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name, command and remaining arguments; raises the usage error of an unknown command."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, _import_command(str(name)) if found is not None else None, rest


def _import_command(name: str) -> Any:
    file = f"{name}_" if keyword.iskeyword(name) else name
    module = importlib.import_module(f"sparsespeech.cli.{file}")
    if hasattr(module, "app"):
        return typer.main.get_command(module.app)
    single = typer.Typer(add_completion=False)
    single.command(name)(module.run)
    return typer.main.get_command(single)


app = typer.Typer(cls=LazyGroup, no_args_is_help=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"sparsespeech {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Train, prune and quantize speech recognisers, and run them bit-identically everywhere."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, ``sys.argv`` unless ``arguments`` are given; return the exit status."""
    try:
        # Not standalone: else typer itself prints usage errors, as boxes of several lines.
        status = typer.main.get_command(app).main(
            arguments, prog_name="sparsespeech", standalone_mode=False
        )
        return status if isinstance(status, int) else 0  # of typer.Exit, or 130 of Ctrl-C
    except SystemExit as stop:  # typer's way out where the reader of a pipe is gone
        return stop.code if isinstance(stop.code, int) else 0
    except _USAGE_ERROR as error:
        message = _explain_usage(error)
        if message:
            print_failure(message)
        return FAILURE_STATUS
    except (SparseSpeechError, ImportError, OSError, MemoryError) as error:
        print_failure(_explain(error))
        return FAILURE_STATUS


def _explain_usage(error: Any) -> str:
    """One line for an unknown option, a bad value or a missing argument.

    Empty where the help was printed already, because a group of commands was given none.
    """
    message = str(error.format_message()).removesuffix(".").replace("Value error, ", "")
    if not message.strip():
        return ""
    command = error.ctx.command_path if error.ctx is not None else "sparsespeech"
    separator = "" if message.endswith("?") else ";"
    return f"{message}{separator} see '{command} --help'"


def _explain(error: SparseSpeechError | ImportError | OSError | MemoryError) -> str:
    """One line for an expected failure; raises ``error`` again if it is a bug."""
    match error:
        case SparseSpeechError():
            return str(error)
        case ImportError():
            return str(_missing_dependency(error))
        case OSError():
            where = f"{error.filename}: " if error.filename is not None else ""
            advice = "; free some space and run it again" if error.errno == errno.ENOSPC else ""
            return f"{where}{error.strerror or error}{advice}"
    return "not enough memory; give shorter recordings or a smaller model"


def _missing_dependency(error: ImportError) -> MissingDependencyError:
    """The error to show for an absent extra; raises ``error`` again if no extra holds it."""
    library = (error.name or "").partition(".")[0]
    if library not in _EXTRAS or not isinstance(error, ModuleNotFoundError):
        raise error
    return MissingDependencyError(
        f"{library} is not installed; this command needs it: "
        f"pip install 'sparsespeech[{_EXTRAS[library]}]'"
    )


if __name__ == "__main__":
    sys.exit(main())
