"""Progress bars of commands: on stderr, and only for somebody who looks at it."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress


def progress_bar(*, transient: bool = False) -> Progress:
    """A bar on stderr if that is a terminal; elsewhere its end would be an empty line."""
    console = Console(stderr=True)
    return Progress(console=console, transient=transient, disable=not console.is_terminal)
