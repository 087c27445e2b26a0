"""A matplotlib figure as a file of its own that is never half written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from sparsespeech import atomic_file


def save_figure(figure: Any, picture: Path, dpi: float | str = "figure") -> None:
    """Replace ``picture`` (PNG, SVG or PDF by its suffix) by ``figure`` atomically.

    ``dpi``: dots an inch. On OSError the old picture is left.
    """
    stream = io.BytesIO()
    figure.savefig(stream, dpi=dpi, format=picture.suffix.removeprefix("."))
    atomic_file.write_bytes(picture, stream.getvalue())
