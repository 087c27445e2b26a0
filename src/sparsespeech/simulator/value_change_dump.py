"""A run as a value change dump (IEEE 1364, section 18): the states of the cores as signals.

A core is a scope with one wire for each state of ``timeline.py`` but idle, of which one at most is
1, and the number of the frame that it works for. Time is in picoseconds of the accelerator's
clock, rounded down where a cycle is no whole number of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from sparsespeech.simulator.machine import Run
from sparsespeech.simulator.timeline import BUSY, Slice, core_timeline

_FRAME_BITS = 32
_FIRST, _SIGNS = 33, 94  # printable characters of identifiers


def value_change_dump(run: Run) -> str:
    """The text of the file."""
    timelines = core_timeline(run)
    lines = [
        "$comment an accelerator run, cycle-exact $end",
        "$timescale 1 ps $end",
        f"$scope module {_identifier_name(run.program.config.name)} $end",
    ]
    for core in range(len(timelines)):
        lines.append(f"$scope module core{core} $end")
        lines += [f"$var wire 1 {_code(core, n)} {state} $end" for n, state in enumerate(BUSY)]
        lines.append(f"$var wire {_FRAME_BITS} {_code(core, len(BUSY))} frame $end")
        lines.append("$upscope $end")
    lines += ["$upscope $end", "$enddefinitions $end"]
    changes = sorted(
        (part.start, core, part) for core, slices in enumerate(timelines) for part in slices
    )
    period = 1e6 / run.program.config.frequency_mhz
    now = -1
    shown: dict[int, Slice] = {}
    for start, core, part in changes:
        if start != now:
            lines.append(f"#{int(start * period)}")
            now = start
        lines += _changes(core, shown.get(core), part)
        shown[core] = part
    lines.append(f"#{int(run.cycles * period)}")
    return "\n".join(lines) + "\n"


def _changes(core: int, before: Slice | None, after: Slice) -> Iterator[str]:
    """Wires that change when a core goes from one slice to the next; all of them at first."""
    for number, state in enumerate(BUSY):
        was, is_now = before is not None and before.state == state, after.state == state
        if before is None or was != is_now:
            yield f"{int(is_now)}{_code(core, number)}"
    frame = 0 if after.frame is None else after.frame.number
    if before is None or before.frame is None or before.frame.number != frame:
        yield f"b{frame:b} {_code(core, len(BUSY))}"


def _code(core: int, signal: int) -> str:
    """The short name of a signal: printable characters, as the format asks for."""
    number = core * (len(BUSY) + 1) + signal
    code = ""
    while True:
        code += chr(_FIRST + number % _SIGNS)
        number //= _SIGNS
        if number == 0:
            return code


def _identifier_name(name: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in name)
