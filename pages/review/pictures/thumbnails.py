"""Thumbnails, made once in the background; one that is asked for before is made at once."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pages.review.pictures.drawn import square
from pages.review.pictures.read import Away, Pictures
from pages.review.pictures.shards import SHARD, Shards
from store import StoreError

KEPT = 1024  # that were asked for before they were in a shard
AT_ONCE = 256  # that are made before somebody looks whether to stop
SECONDS_BETWEEN = 30.0  # between writing the shard that grows


def folder_of(dataset: str) -> Path:
    return Path("data", dataset, "thumbnails")


class Thumbnails:
    """`away`: why images have none, by row. Thread-safe."""

    def __init__(self, folder: Path, pictures: Pictures, id: np.ndarray, threads: int) -> None:
        self._pictures, self._threads = pictures, threads
        self._shards = Shards(folder, id)
        self._lock, self._kept = threading.Lock(), OrderedDict[int, bytes]()
        self._asked = _Asked()
        self._waiting: dict[int, bytes] = {}  # for their shard
        self._end, self._maker = threading.Event(), threading.Thread(target=self._make_all)
        self.away: dict[int, str] = {}

    def start(self) -> None:
        """Make those that are missing, in the background."""
        self._maker.start()

    def stop(self) -> None:
        """End that; what was made is kept."""
        self._end.set()
        if self._maker.ident is not None:
            self._maker.join()

    def of(self, row: int) -> bytes:
        """WebP. Raises Away."""
        if (found := self._shards.read(row)) is not None:
            return found
        with self._lock:
            found = self._waiting.get(row) or self._kept.get(row)
        if found is None:
            with self._asked:
                found = self._make(row)
            with self._lock:
                self._kept[row] = found
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return found

    def _make(self, row: int) -> bytes:
        try:
            with self._pictures.decoded(self._pictures.raw(row)) as picture:
                return square(picture)
        except Away as away:
            self.away[row] = str(away)
            raise

    def _make_all(self) -> None:
        rows = self._shards.missing()
        if not len(rows):
            return
        try:
            self._pictures.raw(int(rows[0]))
        except Away as away:
            print(f"review: no thumbnail of the first picture: {away}")
        saved = time.monotonic()
        bar = tqdm(total=len(rows), desc="thumbnails", disable=None, unit="image")
        with bar, ThreadPoolExecutor(self._threads, thread_name_prefix="thumbnail") as pool:
            for low in range(0, len(rows), AT_ONCE):
                made = dict(self._made(pool, rows[low : low + AT_ONCE]))
                with self._lock:
                    self._waiting |= made
                bar.update(min(AT_ONCE, len(rows) - low))
                late = time.monotonic() - saved > SECONDS_BETWEEN
                if late or len(self._waiting) + AT_ONCE > SHARD or self._end.is_set():
                    if not self._publish():
                        return
                    saved = time.monotonic()
                if self._end.is_set():
                    return
        self._publish()

    def _made(self, pool: ThreadPoolExecutor, rows: np.ndarray) -> Iterator[tuple[int, bytes]]:
        def one(row: int) -> tuple[int, bytes] | None:
            self._asked.wait()
            if self._end.is_set():
                return None
            with self._lock:
                found = self._kept.get(row)
            try:
                return row, found or self._make(row)
            except Away:
                return None

        yield from filter(None, pool.map(one, rows.tolist()))

    def _publish(self) -> bool:
        """Put what waits into a shard; False where the disk does not take it."""
        with self._lock:
            waiting = dict(self._waiting)
        try:
            if waiting:
                self._shards.add(waiting)
        except (OSError, StoreError) as error:
            print(f"review: thumbnails are not kept, and made as they are asked for: {error}")
            with self._lock:
                self._waiting.clear()
            return False
        with self._lock:
            for row in waiting:
                self._waiting.pop(row, None)
        return True


class _Asked:
    """How many are being made that somebody waits for: others are put off until there are none."""

    def __init__(self) -> None:
        self._many, self._none = 0, threading.Condition()

    def __enter__(self) -> None:
        with self._none:
            self._many += 1

    def __exit__(self, *error: object) -> None:
        with self._none:
            self._many -= 1
            self._none.notify_all()

    def wait(self) -> None:
        """A second at most, so that the background goes on under any number of requests."""
        with self._none:
            self._none.wait_for(lambda: not self._many, 1.0)
