"""Curation over a Ray cluster: k-means by parts of the images, near-duplicates by clusters."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import store
from cluster.curate.semantic_duplicates import from_the_centroid, kept_within
from cluster.kmeans.api import kmeans
from cluster.kmeans.assign import Nearest
from cluster.vectors.rows import Rows, Subset, cached
from pipeline.fitting.kmeans_on_ray.engine import RayKMeans
from pipeline.io.cell import Cell
from pipeline.params import Runtime
from pipeline.ray.tasks import over_ray

IMAGES = 65_536  # whose near-duplicates are looked for in one task


def cluster_on_ray(
    cell: Cell,
    train: np.ndarray,
    dims: int,
    points: Rows,
    search: dict[str, Any],
    runtime: Runtime,
    sample: np.ndarray | None,
    k: int,
) -> tuple[np.ndarray, Nearest]:
    """A cluster.curate.hierarchy.Clustering of the images of `train`, whose vectors are `points`;
    search: settings of k-means. Raises StageError where no cluster can be had."""
    rows = points if sample is None else Subset(points, sample)
    which = train if sample is None else train[sample]
    crew = RayKMeans(cell.features, cell.pca, dims, which, rows, False, runtime)
    seed = search["seed"]
    rest = {name: value for name, value in search.items() if name != "seed"}
    fit = kmeans(rows, k, seeds=[seed], **rest, make_engine=crew.engine)
    return fit.centroids[0], crew.assign(fit.centroids, train)


def duplicates_on_ray(
    features: Path,
    train: np.ndarray,
    cluster: np.ndarray,
    distance: np.ndarray,
    epsilon: float,
    runtime: Runtime,
    progress: Callable[[int], object],
) -> np.ndarray:
    """cluster.curate.semantic_duplicates of the images of `train`: a task is some clusters of about
    IMAGES together. Raises StageError where no cluster can be had."""
    kept, groups, room = np.arange(len(train)), list[list[np.ndarray]](), 0
    for members in from_the_centroid(cluster, distance):
        if len(members) > room:
            groups.append([])
            room = IMAGES
        groups[-1].append(members)
        room -= len(members)
    prepare, tasks = partial(_duplicates, features, train, epsilon), [(group,) for group in groups]
    for number, found in over_ray(prepare, tasks, len(tasks), runtime):
        members = np.concatenate(groups[number])
        kept[members] = found
        progress(len(members))
    return kept


def _duplicates(
    features: Path, train: np.ndarray, epsilon: float, runtime: Runtime
) -> Callable[[list[np.ndarray]], np.ndarray]:
    rows = Subset(store.Features(features), train)

    def look(group: list[np.ndarray]) -> np.ndarray:
        """The vectors of a cluster are read several times: from RAM if they fit."""
        kept = []
        for members in group:
            own = cached(Subset(rows, members), runtime.memory_gb)
            within = kept_within(own, np.arange(len(members)), epsilon, runtime.device)
            kept.append(members[within])
        return np.concatenate(kept)

    return look
