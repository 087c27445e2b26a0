"""The same work on many items, in this process or in several, in the order given."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def work_through(
    items: Sequence[Item], make_worker: Callable[[], Callable[[Item], Result]], jobs: int
) -> Iterator[Result]:
    """What a worker makes of each of ``items``, with at most ``jobs`` processes.

    Each process makes one worker and keeps it; ``make_worker`` and the results are pickled. Raises
    whatever ``make_worker`` raises before the first result.
    """
    worker = make_worker()  # here too: its errors do not reach us from a pool
    if jobs == 1 or len(items) == 1:
        yield from map(worker, items)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads of libraries
    with ProcessPoolExecutor(
        min(jobs, len(items)), context, initializer=_start_worker, initargs=(make_worker,)
    ) as pool:
        try:
            yield from pool.map(_work, items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_workers: list[Callable[[Any], Any]] = []  # at most one: that of this worker process


def _start_worker(make_worker: Callable[[], Callable[[Any], Any]]) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes share the cores already
    _workers.append(make_worker())


def _work(item: Any) -> Any:
    return _workers[0](item)
