"""The host's queue: the order of the wire is that of rule T12, however frames are pushed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.accelerator_waves import (
    WaveQueue,
    host_inputs,
    reads_backwards,
    wave_places,
    what_helps_full,
)
from sparsespeech.compiler.program import HOST
from sparsespeech.errors import AcceleratorError, AcceleratorFullError
from sparsespeech.simulator.sequence import FrameOrder
from tests.compiled_programs import GRID, INPUTS, random_windows, small_program


@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_frames_go_in_the_order_of_the_wave(lengths: list[int], seed: int) -> None:
    """Pushed in pieces, in any order, finished at any time after the last piece."""
    rng = np.random.default_rng(seed)
    queue = WaveQueue(small_program(1))
    queue.begin(1)
    queue.reset()
    names = queue.begin(len(lengths))
    heard = [random_windows(n, frames) for n, frames in enumerate(lengths)]
    left = [0] * len(lengths)
    taken = []
    while queue.in_flight:
        utterance = int(rng.choice(queue.in_flight)) - names[0]
        start = left[utterance]
        if start == lengths[utterance]:
            queue.finish(names[utterance])
        else:
            stop = int(rng.integers(start, lengths[utterance] + 1))
            queue.push(names[utterance], heard[utterance][start:stop])
            left[utterance] = stop
        taken += queue.take()
    order = FrameOrder([lengths], GRID.contexts).arriving()
    assert [(frame.utterance - names[0], frame.index, frame.last) for frame in taken] == [
        (frame.utterance, frame.index, frame.last) for frame in order
    ]
    assert [frame.closes_wave for frame in taken] == [False] * (len(taken) - 1) + [True]
    for frame in taken:
        assert np.array_equal(frame.activations, heard[frame.utterance - names[0]][frame.index])
    assert queue.take() == []


def test_a_frame_waits_until_it_is_known_whether_it_closes_the_wave() -> None:
    queue = WaveQueue(small_program(1))
    one, two, three = queue.begin(3)

    def taken() -> list[tuple[int, bool, bool]]:
        return [(frame.utterance, frame.last, frame.closes_wave) for frame in queue.take()]

    queue.push(two, random_windows(0, 1))
    queue.finish(two)
    queue.push(three, random_windows(0, 2))
    queue.finish(three)
    assert taken() == []  # in turns, and the first has none
    queue.push(one, random_windows(0, 1))
    assert taken() == []
    queue.push(one, random_windows(0, 1))
    assert taken() == [(one, False, False), (two, True, False), (three, False, False)]
    queue.finish(one)
    assert taken() == [(one, True, False), (three, True, True)]
    (alone,) = queue.begin(1)
    queue.push(alone, random_windows(0, 1))
    assert taken() == []
    queue.finish(alone)
    assert taken() == [(alone, True, True)]


def test_an_utterance_without_frames_yet_keeps_the_wave_open() -> None:
    queue = WaveQueue(small_program(1))
    one, two = queue.begin(2)
    queue.push(one, random_windows(0, 1))
    queue.finish(one)
    assert [(frame.last, frame.closes_wave) for frame in queue.take()] == [(True, False)]
    queue.push(two, random_windows(0, 1))
    assert queue.take() == []
    queue.finish(two)
    assert [(frame.last, frame.closes_wave) for frame in queue.take()] == [(True, True)]


def test_a_reset_in_the_middle_of_a_turn() -> None:
    queue = WaveQueue(small_program(1))
    one, two = queue.begin(2)
    queue.push(one, random_windows(0, 3))
    assert [frame.utterance for frame in queue.take()] == [one]
    queue.reset()
    assert (queue.in_flight, queue.take()) == ((), [])
    (three,) = queue.begin(1)
    assert three > two
    queue.push(three, random_windows(0, 3))
    assert [(frame.utterance, frame.index) for frame in queue.take()] == [(three, 0), (three, 1)]


def test_a_size_that_helps() -> None:
    """With the bytes that the message asks for, the frames that it was about fit."""
    config = small_program(1).config
    places = wave_places(small_program(1))
    assert places is not None
    words = what_helps_full(places + 3, places, config).split("sequence_bytes = ")[1]
    roomier = small_program(1, config=replace(config, sequence_bytes=int(words.split()[0])))
    found = wave_places(roomier)
    assert found is not None and found >= places + 3


def test_what_a_program_says_about_its_host() -> None:
    program = small_program(1)
    assert host_inputs(program) == INPUTS
    assert wave_places(program) == min(memory.frames for memory in program.sequences)
    assert reads_backwards(program)
    forward = small_program(2, bidirectional=False)
    assert not reads_backwards(forward)
    assert wave_places(forward) is None  # a ring
    assert wave_places(forward) is None  # a ring
    on_host = small_program(5, hidden=20, host_layers=("layer3", "layer4", "layer5"))
    assert wave_places(on_host) is None
    assert not reads_backwards(on_host)  # the host does, the accelerator does not
    assert all(memory.chain != HOST for memory in program.sequences)


def test_messages_say_what_to_do() -> None:
    queue = WaveQueue(small_program(1))
    places = wave_places(small_program(1))
    one, two = queue.begin(2)
    with pytest.raises(
        AcceleratorFullError,
        match=f"would have {places + 1} frames, the sequence memory holds {places}; shorten .*"
        "--in-flight.* for sequence_bytes = [0-9]+ .now 1024; `sparsespeech compile --config",
    ):
        queue.push(one, random_windows(0, places + 1))
    with pytest.raises(AcceleratorError, match=rf"utterance 7 is not in flight.*: {one}, {two}$"):
        queue.push(7, random_windows(0, 1))
    with pytest.raises(AcceleratorError, match=f"utterance {one} has 0 frames; give at least one"):
        queue.finish(one)
    with pytest.raises(AcceleratorError, match=f"utterance {one} is in flight; finish"):
        queue.begin(1)
    for name in (one, two):
        queue.push(name, random_windows(0, 1))
        queue.finish(name)
    with pytest.raises(AcceleratorError, match="those that are: none"):
        queue.finish(two)
    with pytest.raises(AcceleratorFullError, match="5 utterances, expected 1 to 4 .contexts"):
        queue.begin(5)


@pytest.mark.parametrize("frames", [1, 16, 17, 100])
def test_the_bytes_that_a_message_names_hold_the_frames(frames: int) -> None:
    """Frames of 60 bytes: 17 in 1024 bytes, and as many as wished in the bytes named."""
    text = what_helps_full(frames, 1024 // 60, GRID)
    named = re.search(r"sequence_bytes = (\d+) ", text)
    assert named is not None
    assert int(named.group(1)) // 60 >= frames
