"""Batch plans: pure, complete, within the budget."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.training.batches import BatchPlan
from sparsespeech.training.recipe import Data, Source


def settings(**changes: object) -> Data:
    sources = changes.pop("train", [Source(manifest="a")])
    return Data(train=sources, development=Source(manifest="d"), **changes)


def plan(
    lengths: np.ndarray,
    data: Data,
    *,
    seed: int = 0,
    steps: int = 1000,
    workers: int = 1,
    source: np.ndarray | None = None,
    sorted_first_epoch: bool = True,
) -> BatchPlan:
    numbers = np.zeros(lengths.size, np.int64) if source is None else source
    return BatchPlan(
        lengths,
        numbers,
        data,
        seed=seed,
        steps=steps,
        workers=workers,
        sorted_first_epoch=sorted_first_epoch,
    )


@given(
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=80),
    seed=st.integers(0, 99),
    workers=st.integers(1, 3),
    multiple=st.integers(1, 8),
)
def test_every_epoch_holds_every_utterance_within_the_budget(
    lengths: list[int], seed: int, workers: int, multiple: int
) -> None:
    sizes = np.array(lengths)
    data = settings(batch_frames=600, batch_utterances=7, batch_multiple=multiple)
    ours = plan(sizes, data, seed=seed, workers=workers)
    seen: dict[int, list[int]] = {}
    step = 0
    while ours.at(step).epoch < 2:
        for worker in range(workers):
            batch = ours.at(step, worker)
            seen.setdefault(batch.epoch, []).extend(batch.utterances.tolist())
            padded = int(sizes[batch.utterances].max()) * batch.utterances.size
            assert padded <= 600 or batch.utterances.size == 1
            assert batch.utterances.size <= 7
            assert batch.utterances.size <= multiple or batch.utterances.size % multiple == 0
        step += 1
    for numbers in seen.values():
        assert set(numbers) == set(range(sizes.size))
        if workers == 1:
            assert len(numbers) == sizes.size


def test_the_plan_is_a_pure_function_of_the_step() -> None:
    sizes = np.random.default_rng(0).integers(10, 300, 50)
    forward = plan(sizes, settings(batch_frames=500))
    wanted = [forward.at(step).utterances.tolist() for step in range(60)]
    for step in (59, 3, 40, 0):
        fresh = plan(sizes, settings(batch_frames=500))
        assert fresh.at(step).utterances.tolist() == wanted[step]
        assert forward.at(step).utterances.tolist() == wanted[step]


def test_the_first_epoch_goes_from_short_to_long_and_the_second_does_not() -> None:
    sizes = np.random.default_rng(1).integers(10, 300, 60)
    ours = plan(sizes, settings(batch_frames=900))
    longest: dict[int, list[int]] = {0: [], 1: []}
    step = 0
    while ours.at(step).epoch < 2:
        batch = ours.at(step)
        longest[batch.epoch].append(int(sizes[batch.utterances].max()))
        step += 1
    assert longest[0] == sorted(longest[0])
    assert longest[1] != sorted(longest[1])


def test_batches_are_as_large_as_budget_and_multiple_allow() -> None:
    data = settings(batch_frames=1000, batch_utterances=48, batch_multiple=16)
    # 10 frames: 48 by number; 25: 40 would fit, 32 is whole; 50: 20, so 16; 100: 10, below 16.
    for frames, expected in ((10, 48), (25, 32), (50, 16), (100, 10)):
        first = plan(np.full(200, frames), data).at(0)
        assert first.utterances.size == expected


def test_without_sorting_the_first_epoch_is_shuffled_too() -> None:
    sizes = np.random.default_rng(1).integers(10, 300, 60)
    ours = plan(sizes, settings(batch_frames=900), sorted_first_epoch=False)
    longest = [int(sizes[ours.at(step).utterances].max()) for step in range(10)]
    assert ours.at(9).epoch == 0
    assert longest != sorted(longest)


def test_weights_and_leaving_sources() -> None:
    sizes = np.full(400, 10)
    source = np.repeat([0, 1], 200)
    data = settings(
        train=[Source(manifest="a", weight=2.0), Source(manifest="b", weight=0.5, until=0.5)],
        batch_frames=100,
        batch_utterances=10,
    )
    ours = plan(sizes, data, steps=300, source=source)
    counts: dict[int, np.ndarray] = {}
    starts: dict[int, int] = {}
    for step in range(300):
        batch = ours.at(step)
        starts.setdefault(batch.epoch, step)
        np.add.at(counts.setdefault(batch.epoch, np.zeros(400, int)), batch.utterances, 1)
    for epoch in list(counts)[:-1]:
        assert set(counts[epoch][:200]) == {2}
        second = counts[epoch][200:].sum()
        assert second == 0 if starts[epoch] >= 150 else 60 < second < 140
