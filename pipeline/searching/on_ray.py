"""Exact neighbours over a Ray cluster: a task is a block of queries, which looks among all."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import store
from cluster.kernels.similarity import Metric
from cluster.neighbors.exact import nearest_neighbors
from cluster.neighbors.table import Neighbors
from cluster.vectors.rows import Subset, cached
from pipeline.io.space import train_rows
from pipeline.params import Runtime
from pipeline.ray.tasks import blocks, over_ray

MOST = 65_536  # queries of a task


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
    tasks = [(start, own[start:stop]) for start, stop in blocks(len(own), MOST, runtime)]
    found = Neighbors(np.empty((len(own), k), np.int32), np.empty((len(own), k), np.float32))
    prepare = partial(_search, features, k, metric)
    for number, block in over_ray(prepare, tasks, len(tasks), runtime):
        start = tasks[number][0]
        here = slice(start, start + len(block.neighbor))
        found.neighbor[here], found.similarity[here] = block
        progress(len(block.neighbor))
    return found


def _search(
    features: Path, k: int, metric: Metric, runtime: Runtime
) -> Callable[[int, np.ndarray], Neighbors]:
    """With the vectors in RAM if they fit."""
    found = store.Features(features)
    rows = cached(found, runtime.memory_gb)
    among = Subset(rows, train_rows(found))

    def search(start: int, own: np.ndarray) -> Neighbors:
        block = Subset(rows, np.arange(start, start + len(own)))
        return nearest_neighbors(block, among, k, metric=metric, own=own, device=runtime.device)

    return search
