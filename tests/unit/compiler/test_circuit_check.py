"""Every way in which finished streams can break the rules of the network is found."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.circuit_check import check_circuits
from sparsespeech.compiler.program import Link, Sink, Stream, StreamKind
from sparsespeech.errors import CompileError

TINY = TARGETS["tiny"]  # 2 x 2, 16 slots, 2 cycles a hop
PLACES = ((0, 0), (0, 1), (1, 1), (1, 0))
GOOD = Stream(
    name="good",
    kind="activations",
    source=0,
    sinks=(Sink(1, 1), Sink(2, 2)),
    slots=(1, 15),
    links=(Link((0, 0), (0, 1), (1, 15)), Link((0, 1), (1, 1), (1, 3))),
)
HOST_IN = Stream("in", "activations", -1, (Sink(0, 1),), (4,), (Link((0, 0), (0, 0), (4,)),))
HOST_OUT = Stream("out", "activations", 0, (Sink(-1, 1),), (4,), (Link((0, 0), (0, 0), (4,)),))


def _check(*streams: Stream, heads: Collection[int] = ()) -> None:
    """With ``heads``: cores that take only heads, of whatever stream."""
    check_circuits(streams, PLACES, TINY, [heads] * len(streams))


def test_good_streams_pass() -> None:
    other = replace(GOOD, name="other", slots=(0,), sinks=(Sink(1, 1),), links=(
        Link((0, 0), (0, 1), (0,)),
    ))  # fmt: skip
    control = replace(GOOD, name="control", kind="credits")  # wires of its own
    _check(GOOD, other, control, HOST_IN, HOST_OUT)


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        (lambda one: replace(one, sinks=(Sink(2, 1),)), "does not reach core 2 after 1"),
        (lambda one: replace(one, sinks=(Sink(3, 1),)), "does not reach core 3"),
        (lambda one: replace(one, links=one.links[1:]), "no link before it leads there"),
        (lambda one: replace(one, links=one.links[::-1]), "no link before it leads there"),
        (
            lambda one: replace(one, links=(Link((0, 0), (1, 1), (1, 15)),)),
            "does not exist",
        ),
        (
            lambda one: replace(one, links=(one.links[0], Link((0, 1), (0, 2), (1, 3)))),
            "does not exist",
        ),
        (
            lambda one: replace(one, links=(one.links[0], Link((0, 1), (1, 1), (1, 15)))),
            r"has the slots \(1, 15\), expected \(1, 3\)",
        ),
        (lambda one: replace(one, slots=()), "has the slots"),
        (
            lambda one: replace(one, links=(*one.links, one.links[0])),
            "'good' and 'good' both hold slot 1",
        ),
    ],
)
def test_broken_streams_are_named(breaks: Callable[[Stream], Stream], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        _check(breaks(GOOD))


def test_streams_that_meet_on_a_link_are_named() -> None:
    meets = Stream("meets", "activations", 1, (Sink(2, 1),), (3,), (Link((0, 1), (1, 1), (3,)),))
    where = r"the link for frames from \(0, 1\) to \(1, 1\)"
    with pytest.raises(CompileError, match=rf"'good' and 'meets' both hold slot 3 of {where}"):
        _check(GOOD, meets)


def test_the_two_ways_of_the_hosts_port_are_apart() -> None:
    twice = replace(HOST_OUT, name="twice")
    where = r"the link for frames from \(0, 0\) to \(0, -1\)"
    with pytest.raises(CompileError, match=rf"'out' and 'twice' both hold slot 4 of {where}"):
        _check(HOST_OUT, HOST_IN, twice)


# Streams over links that no two share. With two cycles a hop the first one arrives at core 0 two
# cycles after it was put on, the second and the third as well, those from core 0 leave at once.
FROM_EAST = Stream("east", "activations", 1, (Sink(0, 1),), (3,), (Link((0, 1), (0, 0), (3,)),))
FROM_SOUTH = Stream("south", "activations", 3, (Sink(0, 1),), (3,), (Link((1, 0), (0, 0), (3,)),))
TO_EAST = Stream("to east", "activations", 0, (Sink(1, 1),), (6,), (Link((0, 0), (0, 1), (6,)),))
TO_SOUTH = Stream("to south", "activations", 0, (Sink(3, 1),), (6,), (Link((0, 0), (1, 0), (6,)),))


def _as(kind: StreamKind, *streams: Stream) -> list[Stream]:
    return [replace(stream, kind=kind) for stream in streams]


@pytest.mark.parametrize(
    ("kind", "port"),
    [
        ("activations", "frames"),
        ("credits", "control flits"),
        ("order", "control flits"),
        ("partial_sums", "sums"),
        ("gate_inputs", "gate inputs"),
    ],
)
def test_streams_that_meet_where_a_core_takes_them_are_named(kind: StreamKind, port: str) -> None:
    where = f"slot 5 of the port by which core 0 takes {port}"
    with pytest.raises(CompileError, match=f"'east' and 'south' both hold {where}"):
        _check(*_as(kind, FROM_EAST, FROM_SOUTH))


@pytest.mark.parametrize(
    ("kind", "port"),
    [
        ("activations", "frames"),
        ("credits", "control flits"),
        ("order", "control flits"),
        ("partial_sums", "sums"),
        ("gate_inputs", "sums"),
    ],
)
def test_streams_that_meet_where_a_core_puts_them_on_are_named(kind: StreamKind, port: str) -> None:
    where = f"slot 6 of the port by which core 0 puts {port} on"
    with pytest.raises(CompileError, match=f"'to east' and 'to south' both hold {where}"):
        _check(*_as(kind, TO_EAST, TO_SOUTH))


def test_what_meets_at_a_port_depends_on_the_way_there() -> None:
    far = Stream(
        "far",
        "activations",
        2,
        (Sink(0, 2),),
        (1,),
        (Link((1, 1), (1, 0), (1,)), Link((1, 0), (0, 0), (3,))),
    )
    _check(FROM_EAST, replace(far, slots=(3,), links=(
        Link((1, 1), (1, 0), (3,)), Link((1, 0), (0, 0), (5,)),
    )))  # fmt: skip
    with pytest.raises(CompileError, match="'east' and 'far' both hold slot 5 of the port by"):
        _check(FROM_EAST, far)


def test_streams_that_meet_where_the_host_puts_them_on_are_named() -> None:
    inwards = replace(HOST_IN, name="twice", links=(), sinks=())
    with pytest.raises(CompileError, match="slot 4 of the port by which the host puts frames on"):
        _check(HOST_IN, inwards)


def test_ports_are_apart() -> None:
    """Frames, heads, control flits, sums and gate inputs; put on and taken."""
    control = _as("credits", FROM_EAST)
    sums = _as("partial_sums", FROM_EAST)
    gates = _as("gate_inputs", FROM_SOUTH)
    leaving = replace(TO_EAST, slots=(5,), links=(Link((0, 0), (0, 1), (5,)),))
    _check(FROM_EAST, *control, *sums, *gates, leaving)


def test_only_heads_of_the_stream_in_question_are_apart_from_frames() -> None:
    streams = (FROM_EAST, FROM_SOUTH)
    check_circuits(streams, PLACES, TINY, [(), (0,)])
    check_circuits(streams, PLACES, TINY, [(0,), ()])
    for heads, taken in (([(0,), (0,)], "heads"), ([(), (1, 3)], "frames")):
        with pytest.raises(CompileError, match=f"core 0 takes {taken}"):
            check_circuits(streams, PLACES, TINY, heads)
