"""Data parallel training under ``torchrun``: every worker its batch, gradients averaged.

Without ``torchrun`` there is one worker and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch import distributed as dist


@contextmanager
def worker_group() -> Iterator[tuple[int, int]]:
    """Yield (rank, workers); joins the process group that ``torchrun`` describes, if any."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0, 1
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield dist.get_rank(), dist.get_world_size()
    finally:
        dist.destroy_process_group()


def average_gradients(parameters: Iterable[Tensor], workers: int) -> None:
    """Replace all gradients by their mean over the workers, in one message."""
    if workers == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= workers
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def sum_over_workers(values: Tensor, workers: int) -> Tensor:
    """``values`` added up over the workers, the same at each of them."""
    if workers > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def rows_of_all_workers(rows: Tensor) -> Tensor:
    """``rows`` [N, ...] of all workers, in the order of their ranks, the same bits at each.

    N may differ between workers, everything else may not. Every worker must call it; without a
    process group there are no other rows.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    rank, workers = dist.get_rank(), dist.get_world_size()
    counts = torch.zeros(workers, dtype=torch.int64, device=rows.device)
    counts[rank] = len(rows)
    dist.all_reduce(counts)
    begin = int(counts[:rank].sum())
    # Everybody adds zeros to the rows of the others: a sum that rounds nothing.
    together = rows.new_zeros(int(counts.sum()), *rows.shape[1:])
    together[begin : begin + len(rows)] = rows
    dist.all_reduce(together)
    return together


def barrier(workers: int) -> None:
    """Wait for all workers."""
    if workers > 1:
        dist.barrier()
