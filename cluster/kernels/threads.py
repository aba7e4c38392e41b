"""Each core takes parts of the work through all steps by itself.

When another program is busy too, that is far less waiting than with all cores at each step.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

import torch
from threadpoolctl import ThreadpoolController


def on_cores(work: Callable[[int], None], starts: Sequence[int]) -> None:
    """Call work(start) for each start, as many at once as torch uses threads. `work` writes its
    results in place; products of matrices inside it keep to its core."""
    if len(starts) == 1:  # waking a core takes longer than much of the work
        work(starts[0])
        return
    left = iter(starts)  # one for all: each core takes the next

    def some() -> None:
        for start in left:
            work(start)

    workers = torch.get_num_threads()
    with _libraries().limit(limits=1, user_api="blas"):
        working = [_pool(workers).submit(some) for _ in range(min(workers, len(starts)))]
        wait(working)
    for each in working:
        each.result()  # or what it raised


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, "cores", initializer=_alone)


def _alone() -> None:
    """What torch does in this thread keeps to it."""
    torch.get_num_threads()  # or torch would choose their number later, at its first work here
    _libraries().limit(limits=1, user_api="openmp")
