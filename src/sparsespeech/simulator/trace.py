"""A run as a trace for Perfetto or chrome://tracing: cores as one process, streams as another.

Format: the JSON of Chrome's trace viewer ("Trace Event Format"), complete events. Times are
microseconds of the accelerator's clock, cycles stand in the arguments.
"""

from __future__ import annotations

from typing import Any

from sparsespeech.compiler.program import HOST
from sparsespeech.simulator.machine import Run
from sparsespeech.simulator.sequence import Frame
from sparsespeech.simulator.timeline import core_timeline

_CORES, _STREAMS = 1, 2  # process numbers


def trace(run: Run) -> dict[str, Any]:
    """The whole trace, ready for ``json.dumps``.

    A track of the first process is a core, with the states of ``timeline.py``; one of the second
    is a stream, with a slice from the first to the last flit that its source puts on for a frame.
    """
    config = run.program.config
    return {
        "displayTimeUnit": "ns",
        "otherData": {
            "target": config.name,
            "mapping": run.program.mapping,
            "frequency_mhz": config.frequency_mhz,
            "cycles": run.cycles,
            "waves": [list(wave) for wave in run.waves],
        },
        "traceEvents": [
            _name("process_name", _CORES, 0, "cores"),
            _name("process_name", _STREAMS, 0, "streams"),
            *_core_events(run),
            *_stream_events(run),
        ],
    }


def _core_events(run: Run) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for core, (place, slices) in enumerate(
        zip(run.program.places, core_timeline(run), strict=True)
    ):
        names = _chains_of_core(run, core)
        title = f"core {core} at {place[0]},{place[1]}: {', '.join(names) or 'not used'}"
        events.append(_name("thread_name", _CORES, core, title))
        for part in slices:
            if part.frame is None or part.chain is None:
                continue
            facts = {"chain": run.program.chains[part.chain].name, **_frame_facts(part.frame)}
            events.append(_event(run, part.state, _CORES, core, part.start, part.stop, facts))
    return events


def _stream_events(run: Run) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for number, (stream, frames) in enumerate(zip(run.program.streams, run.flits, strict=True)):
        if not frames:  # sums between neighbours: a flit a pop
            continue
        source = "host" if stream.source == HOST else f"core {stream.source}"
        title = f"{stream.name} ({stream.kind}, from {source})"
        events.append(_name("thread_name", _STREAMS, number, title))
        for count, put_on in enumerate(frames):
            start, stop = int(put_on[0]), int(put_on[-1]) + 1
            name = f"frame {count}" if stream.kind == "activations" else stream.kind
            facts = {"flits": len(put_on)}
            events.append(_event(run, name, _STREAMS, number, start, stop, facts))
    return events


def _event(
    run: Run, name: str, process: int, track: int, start: int, stop: int, facts: dict[str, Any]
) -> dict[str, Any]:
    microseconds = 1.0 / run.program.config.frequency_mhz
    return {
        "ph": "X",
        "name": name,
        "pid": process,
        "tid": track,
        "ts": round(start * microseconds, 6),
        "dur": round((stop - start) * microseconds, 6),
        "args": {"cycle": start, "cycles": stop - start, **facts},
    }


def _name(kind: str, process: int, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": track, "args": {"name": name}}


def _chains_of_core(run: Run, core: int) -> list[str]:
    chains = [task.chain for task in run.program.tasks if task.core == core]
    return [run.program.chains[chain].name for chain in dict.fromkeys(chains)]


def _frame_facts(frame: Frame) -> dict[str, Any]:
    facts = {"wave": frame.wave, "utterance": frame.utterance, "frame": frame.index}
    return {**facts, "direction": frame.direction} if frame.direction else facts
