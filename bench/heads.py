"""TEMI's heads: 50 at once beside one, and what 1.28 million images and 25,000 clusters take.

`work` is the time of a step beside what its matrix products alone predict from the rate of one
head: 1 is no loss. One head and 50 take their steps by turns; the other rows are of another process
each, one after the other. `peak_gb` is the memory of the process at its most, without the pages of
the mapped store. Features are float16 of 768 dims; the content does not matter to either number.
"""

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cluster.heads import predict
from cluster.pairs import Pairs
from cluster.resident import resident
from cluster.rows import ArrayRows, Rows, Subset
from cluster.standardize import scale_of
from cluster.temi import Settings, Temi

PACKAGES = ("numpy", "torch")
DIM, HIDDEN, BOTTLENECK, NEIGHBORS = 768, 512, 256, 20
STEPS = 20
Case = tuple[int, int, int]  # heads, clusters, images a batch
ONE, FIFTY = (1, 10, 1024), (50, 10, 1024)
MANY, OVER = (16, 1000, 1024), (16, 25_000, 128)
IMAGES, STORED = 50_000, 1_280_000


class Mapped:
    """A float16 file [image, dim] as Rows."""

    dim = DIM

    def __init__(self, path: Path) -> None:
        self._array = np.memmap(path, np.float16, "r").reshape(-1, DIM)

    def __len__(self) -> int:
        return len(self._array)

    def block(self, start: int, stop: int) -> np.ndarray:
        return self._array[start:stop].astype(np.float32)

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self._array[rows].astype(np.float32)


def run() -> list[dict[str, Any]]:
    """One row a case."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "features"
        _write(path)
        cases = [(IMAGES, [ONE, FIFTY]), (STORED, [MANY]), (STORED, [OVER])]
        found = []
        for images, of in cases:
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=spawn) as process:
                steps, peak = process.submit(_train, path, images, of).result()
            found += [(images, case, step, peak) for case, step in zip(of, steps, strict=True)]
    rate = _work(ONE) / found[0][2]
    return [
        {
            "images": images, "heads": case[0], "k": case[1], "batch": case[2],
            "step_s": round(step, 3), "work": round(step * rate / _work(case), 2),
            "peak_gb": round(peak / 1e9, 2),
        }
        for images, case, step, peak in found
    ]  # fmt: skip


def _train(path: Path, images: int, cases: Sequence[Case]) -> tuple[list[float], int]:
    """The median seconds of a step of each case, by turns, and the memory at its most, bytes."""
    watch = _Peak()
    rows: Rows = Mapped(path)
    if images < len(rows):
        rows = ArrayRows(rows.block(0, images))
    table = ((np.arange(images)[:, None] + np.arange(1, NEIGHBORS + 1)) % images).astype(np.int32)
    scale, gather = scale_of(rows), resident(rows, "cpu")
    learners, draws = [], []
    for heads, k, batch in cases:
        settings = Settings(heads, HIDDEN, BOTTLENECK, "temi", 0.6, 0.1, 0.996, 0.9, 1e-4, 0)
        watched = gather(np.arange(2000))
        learners.append(Temi(DIM, k, settings, scale=scale, watched=watched, seed=0))
        draws.append(Pairs(table, batch, 0))
    seconds: list[list[float]] = [[] for _ in cases]
    for step in range(STEPS):
        for own, learner, pairs in zip(seconds, learners, draws, strict=True):
            begin = time.perf_counter()
            learner.step(gather(pairs.at(step)), 1e-3)
            own.append(time.perf_counter() - begin)
    for learner in learners:
        learner.watch(0)
        predict(Subset(rows, np.arange(20_000)), learner.head(0))
    return [median(own[1:]) for own in seconds], watch.stop()


def _work(case: Case) -> float:
    """Operations of the products of a step: a teacher's and a student's outputs, and the student's
    gradients, of which the features need none."""
    heads, k, batch = case
    first, rest = DIM * HIDDEN, HIDDEN * BOTTLENECK + BOTTLENECK * k
    return 2.0 * 2 * batch * heads * (3 * first + 4 * rest)


def _write(path: Path) -> None:
    some = np.random.default_rng(0).normal(size=(20_000, DIM)).astype(np.float16)
    with path.open("wb") as file:
        for _ in range(STORED // len(some)):
            file.write(some.data)


class _Peak(threading.Thread):
    """Looks at the memory of this process every 10 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._most, self._end = 0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self._end.wait(0.01):
            said = Path("/proc/self/status").read_text().splitlines()
            own = [line.split() for line in said if line.startswith("RssAnon")]
            self._most = max(self._most, int(own[0][1]) * 1024)

    def stop(self) -> int:
        self._end.set()
        self.join()
        return self._most
