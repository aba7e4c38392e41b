"""TEMI's heads, all at once: beside each trained alone, and what 1.28 million images take.

`loop/together` is the time of the heads one after the other, each trained alone, over the time of
all at once; `growth` is the time of a step beside that of one head, per head (1: as many times as
there are heads). `work` is the time of a step beside what its matrix products alone predict from
the rate of one head at 10 clusters. The cases of a process take their steps by turns; `peak_gb` is
the memory of that process at its most, without the pages of the mapped store. A head that is
trained among others must end as it does alone: checked where the loss lets heads be by themselves.
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
import torch

from cluster.heads.model import predict
from cluster.heads.neighbor_pairs import Pairs
from cluster.heads.temi import Settings, Temi
from cluster.heads.temi_loss import Loss
from cluster.kernels.mixed_precision import training_dtype
from cluster.vectors.gather import Gather, standardized_gather
from cluster.vectors.rows import ArrayRows, Rows, Subset
from cluster.vectors.standardize import fit_scale

PACKAGES = ("numpy", "torch")
DIM, HIDDEN, BOTTLENECK, NEIGHBORS = 768, 512, 256, 20
IMAGES, STORED = 50_000, 1_280_000
Case = tuple[int, int, int]  # heads, clusters, images a batch
CASES: tuple[tuple[int, int, list[Case]], ...] = (  # images, steps, and what goes by turns
    (IMAGES, 12, [(1, 10, 1024), (8, 10, 1024), (16, 10, 1024), (50, 10, 1024)]),
    (IMAGES, 6, [(1, 1000, 1024), (8, 1000, 1024), (16, 1000, 1024), (50, 1000, 1024)]),
    (STORED, 6, [(1, 1000, 1024), (16, 1000, 1024)]),
    (STORED, 6, [(1, 25_000, 128), (16, 25_000, 128)]),
)
ALONE = (4, 10, 256)  # of which each is held to what it becomes alone
# By how much of its way a weight may differ. The loss is the mean of the heads', so a head alone
# has larger gradients, which Adam takes out again, but for its ε. Two heads differ by more than 1.
SAME = 0.05


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
    _require_same()
    table: list[dict[str, Any]] = []
    rate = 0.0
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "features"
        _write(path)
        for images, steps, cases in CASES:
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=spawn) as process:
                seconds, peak = process.submit(_train, path, images, steps, cases).result()
            rate = rate or _work(cases[0]) / seconds[0]
            for (heads, k, batch), step in zip(cases, seconds, strict=True):
                table.append(
                    {
                        "images": images, "heads": heads, "k": k, "batch": batch,
                        "step_s": round(step, 3), "epoch_s": round(step * images / batch, 1),
                        "loop/together": round(heads * seconds[0] / step, 2),
                        "growth": round(step / seconds[0] / heads, 2),
                        "work": round(step * rate / _work((heads, k, batch)), 2),
                        "peak_gb": round(peak / 1e9, 2),
                    }
                )  # fmt: skip
    return table


def _train(path: Path, images: int, steps: int, cases: Sequence[Case]) -> tuple[list[float], int]:
    """The median seconds of a step of each case, by turns, and the memory at its most, bytes."""
    watch = _Peak()
    rows: Rows = Mapped(path)
    if images < len(rows):
        rows = ArrayRows(rows.block(0, images))
    gather = _gather(rows)
    watched = gather(np.arange(2000))
    learners = [_learner(rows, case, watched, "temi") for case in cases]
    draws = [_pairs(images, batch) for *_, batch in cases]
    seconds: list[list[float]] = [[] for _ in cases]
    for step in range(steps):
        for own, learner, pairs in zip(seconds, learners, draws, strict=True):
            begin = time.perf_counter()
            learner.step(gather(pairs.at(step)), 1e-3)
            own.append(time.perf_counter() - begin)
    for learner in learners:
        learner.watch(0)
        predict(Subset(rows, np.arange(20_000)), learner.head(0))
    return [median(own[1:]) for own in seconds], watch.stop()


def _require_same() -> None:
    """SystemExit unless heads that are trained together become what each becomes alone."""
    rows = ArrayRows(np.random.default_rng(0).standard_normal((2000, DIM)).astype(np.float32))
    gather = _gather(rows)
    watched, pairs = gather(np.arange(10)), _pairs(len(rows), ALONE[2])
    together = _learner(rows, ALONE, watched, "wmi")
    begun = {name: each.detach().clone() for name, each in together.state().items()}
    for step in range(5):
        together.step(gather(pairs.at(step)), 1e-3)
    for head in range(ALONE[0]):
        alone = _learner(rows, (1, *ALONE[1:]), watched, "wmi")
        alone.restore({name: each[head : head + 1] for name, each in begun.items()})
        for step in range(5):
            alone.step(gather(pairs.at(step)), 1e-3)
        for name, weight in alone.state().items():
            if not name.startswith("student"):
                continue
            among = together.state()[name][head]
            way = (weight[0] - begun[name][head]).norm()
            if not torch.linalg.vector_norm(among - weight[0]) <= SAME * way:
                raise SystemExit(f"{name} of head {head} is another than when trained alone")


def _learner(rows: Rows, case: Case, watched: torch.Tensor, loss: Loss) -> Temi:
    heads, k, _ = case
    settings = Settings(heads, HIDDEN, BOTTLENECK, loss, 0.6, 0.1, 0.996, 0.9, 1e-4, 0)
    return Temi(DIM, k, settings, scale=fit_scale(rows), watched=watched, seed=0)


def _gather(rows: Rows) -> Gather:
    return standardized_gather(rows, "cpu", 1, fit_scale(rows), training_dtype("cpu"))


def _pairs(images: int, batch: int) -> Pairs:
    table = (np.arange(images)[:, None] + np.arange(1, NEIGHBORS + 1)) % images
    return Pairs(table.astype(np.int32), batch, 0)


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
