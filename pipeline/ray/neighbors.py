"""Exact neighbours over a Ray cluster: a task is a block of queries, which looks among all."""

from collections.abc import Callable
from pathlib import Path
from typing import final

import numpy as np

import store
from cluster.kernels.similarity import Metric
from cluster.neighbors.exact import Neighbors, nearest_neighbors
from cluster.vectors.rows import Rows, Subset, cached
from pipeline.io.space import train_rows
from pipeline.params import Runtime
from pipeline.ray.actors import divide, each
from pipeline.ray.connect import connect
from pipeline.ray.place import enter

TASKS, MOST = 4, 65_536  # tasks an actor, so that they end together, and the queries of one


def neighbors_on_ray(
    features: Path,
    own: np.ndarray,
    k: int,
    metric: Metric,
    runtime: Runtime,
    progress: Callable[[int], object],
) -> Neighbors:
    """`nearest_neighbors` of all images of the store FEATURES among those of `train`; own: int64
    [image], as there. Raises StageError where no cluster can be had, and what the search raises."""
    connect(runtime)
    share, n = divide(runtime), len(own)
    size = min(MOST, -(-n // (TASKS * share.actors)))
    tasks = [(start, own[start : start + size]) for start in range(0, n, size)]
    neighbor, similarity = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    held = (Path.cwd(), features, k, metric, share.runtime)
    for start, found in each(share, Queries, held, tasks, len(tasks)):
        here = slice(start, start + len(found.neighbor))
        neighbor[here], similarity[here] = found
        progress(len(found.neighbor))
    return Neighbors(neighbor, similarity)


@final
class Queries:
    """An actor that has the store open, in RAM if it fits."""

    def __init__(
        self, folder: Path, features: Path, k: int, metric: Metric, runtime: Runtime
    ) -> None:
        self._folder, self._features, self._runtime = folder, features, runtime
        self._k, self._metric = k, metric
        self._opened: tuple[Rows, Rows] | None = None

    def run(self, start: int, own: np.ndarray) -> tuple[int, Neighbors]:
        """Where the block starts, and the neighbours of as many images as there are in `own`."""
        enter(self._folder)
        if self._opened is None:
            found = store.Features(self._features)
            rows = cached(found, self._runtime.memory_gb)
            self._opened = rows, Subset(rows, train_rows(found))
        rows, among = self._opened
        block = Subset(rows, np.arange(start, start + len(own)))
        metric, device = self._metric, self._runtime.device
        return start, nearest_neighbors(
            block, among, self._k, metric=metric, own=own, device=device
        )
