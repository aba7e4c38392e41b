"""How long work takes on a device, how long it may take, and what the device could do at best."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from bench import _alone

SPARED = 3.0  # seconds before the end of a part in which nothing more is begun


class Clock:
    """The seconds that are left of a part's `limit`, counted from the start of its process."""

    def __init__(self, limit: float) -> None:
        self._end = _alone.BEGAN + limit - min(SPARED, limit / 4)

    def left(self) -> float:
        return max(0.0, self._end - time.perf_counter())

    def rounds(self, wanted: int, each: float, share: float = 1.0, least: int = 1) -> int:
        """How many of the `wanted` rounds of `each` second fit in this share of what is left."""
        return max(least, min(wanted, int(share * self.left() / max(each, 1e-9))))


class Ceilings(NamedTuple):
    """Measured: operations a second in products of bfloat16, bytes a second read and written."""

    operations: float
    bytes: float

    def seconds(self, operations: float = 0.0, bytes: float = 0.0) -> float:
        """The fewest that work can take, if all of it overlaps."""
        return max(operations / self.operations, bytes / self.bytes)


def ceilings(device: str) -> Ceilings:
    size, numbers = (8192, 2**28) if device.startswith("cuda") else (256, 2**16)
    x = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    source = torch.zeros(numbers, device=device)
    to = torch.empty_like(source)
    return Ceilings(
        2 * size**3 / seconds(lambda: x @ x, device),
        8 * numbers / seconds(lambda: to.copy_(source), device),
    )


def seconds(work: Callable[[], object], device: str, repeats: int = 5) -> float:
    """Of one call, after one that counts for nothing."""
    work()
    return once(lambda: [work() for _ in range(repeats)], device) / repeats


def once(work: Callable[[], object], device: str) -> float:
    """Seconds of one call."""
    wait(device)
    begin = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - begin


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
