"""Parallelism over blocks of work: each core takes a block through all steps by itself.

When other programs use the processor, that waits far less than sharing each step among all cores.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Result = TypeVar("Result")


def on_cores(work: Callable[[int], None], starts: Sequence[int]) -> None:
    """Call work(start) for each start, in as many threads as torch uses. `work` writes its results
    in place; BLAS and OpenMP inside it use one thread. Inside of such work it uses no others."""
    if len(starts) == 1 or _is_worker():  # starting a thread takes longer than a small block
        for start in starts:
            work(start)
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


def each_on_one_core(work: Callable[[int], Result], numbers: Sequence[int]) -> Iterator[Result]:
    """work(number) of each, in order; as many at once as torch uses threads, each in one. Those
    that have not begun when the iterator is closed, or one of them has failed, are left out."""
    with _libraries().limit(limits=1, user_api="blas"):
        working = [_pool(torch.get_num_threads()).submit(work, number) for number in numbers]
        try:
            for each in working:
                yield each.result()
        finally:
            for each in working:
                each.cancel()


def on_one_core(work: Callable[[], Result]) -> Result:
    """work(), whose BLAS and OpenMP use one thread."""
    if _is_worker():
        return work()
    with _libraries().limit(limits=1, user_api="blas"):
        return _pool(1).submit(work).result()


_here = threading.local()


def _is_worker() -> bool:
    return getattr(_here, "is_worker", False)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, "cores", initializer=_use_one_thread)


def _use_one_thread() -> None:
    """Make torch use one thread for its work in this thread."""
    _here.is_worker = True
    torch.get_num_threads()  # else torch sets their number at its first work here
    _libraries().limit(limits=1, user_api="openmp")
