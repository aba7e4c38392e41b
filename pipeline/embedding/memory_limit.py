"""A bound on the memory of threads that decode, whatever the size of their pictures."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import final


@final
class MemoryLimit:
    """A semaphore that is taken by bytes. Who came first goes first, so that a large picture does
    not wait for ever; one that is larger than the limit has all of it alone."""

    def __init__(self, size: float) -> None:
        """size: bytes."""
        self._size, self._taken = size, 0.0
        self._queue, self._turn = deque[object](), Condition()

    @contextmanager
    def held(self, size: float) -> Iterator[None]:
        """Wait until there are `size` bytes, and have them until the end of the block."""
        size, mine = min(size, self._size), object()
        with self._turn:
            self._queue.append(mine)
            self._turn.wait_for(lambda: self._queue[0] is mine and self._taken + size <= self._size)
            self._queue.popleft()
            self._taken += size
            self._turn.notify_all()
        try:
            yield
        finally:
            with self._turn:
                self._taken -= size
                self._turn.notify_all()
