"""Parallelism over blocks of work: each core takes a block through all steps by itself.

When other programs use the processor, that waits far less than sharing each step among all cores.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")


def on_cores(work: Callable[[int], None], starts: Sequence[int]) -> None:
    """Call work(start) for each start, in as many threads as torch uses. `work` writes its results
    in place; BLAS and OpenMP inside it use one thread."""
    if len(starts) == 1:  # starting a thread takes longer than a small block
        work(starts[0])
        return
    left = iter(starts)  # shared: each thread takes the next start

    def some() -> None:
        for start in left:
            work(start)

    workers = torch.get_num_threads()
    with _libraries().limit(limits=1, user_api="blas"):
        working = [_pool(workers).submit(some) for _ in range(min(workers, len(starts)))]
        wait(working)
    for each in working:
        each.result()  # raises what the thread raised


def on_one_core(work: Callable[[], Result]) -> Result:
    """work(), whose BLAS and OpenMP use one thread."""
    with _libraries().limit(limits=1, user_api="blas"):
        return _pool(1).submit(work).result()


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, "cores", initializer=_use_one_thread)


def _use_one_thread() -> None:
    """Make torch use one thread for its work in this thread."""
    torch.get_num_threads()  # else torch sets their number at its first work here
    _libraries().limit(limits=1, user_api="openmp")
