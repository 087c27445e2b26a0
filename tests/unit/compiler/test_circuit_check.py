"""Every way in which finished streams can break the rules of the network is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.circuit_check import check_circuits
from sparsespeech.compiler.program import Link, Sink, Stream
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


def test_good_streams_pass() -> None:
    other = replace(GOOD, name="other", slots=(0,), sinks=(Sink(1, 1),), links=(
        Link((0, 0), (0, 1), (0,)),
    ))  # fmt: skip
    control = replace(GOOD, name="control", kind="credits")  # wires of its own
    check_circuits((GOOD, other, control, HOST_IN, HOST_OUT), PLACES, TINY)


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
        check_circuits((breaks(GOOD),), PLACES, TINY)


def test_streams_that_meet_are_named() -> None:
    meets = Stream("meets", "activations", 1, (Sink(2, 1),), (3,), (Link((0, 1), (1, 1), (3,)),))
    with pytest.raises(CompileError, match=r"'good' and 'meets' both hold slot 3 of the link"):
        check_circuits((GOOD, meets), PLACES, TINY)


def test_the_two_ways_of_the_hosts_port_are_apart() -> None:
    twice = replace(HOST_OUT, name="twice")
    with pytest.raises(CompileError, match=r"'out' and 'twice' both hold slot 4"):
        check_circuits((HOST_OUT, HOST_IN, twice), PLACES, TINY)
