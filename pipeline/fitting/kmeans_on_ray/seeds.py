"""k-means of which seeds are independent, over a Ray cluster: a task is a number of clusters and a
seed, whose machine reads all vectors."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cluster.kmeans.api import Fit
from cluster.vectors.rows import Rows
from pipeline.io.space import open_space
from pipeline.params import Runtime
from pipeline.ray.tasks import answers_in_order

# From the vectors, k, a seed and a device
FitOne = Callable[[Rows, int, int, str], Fit]


def fit_seeds_on_ray(
    fit: FitOne,
    features: Path,
    pca: Path,
    dims: int,
    ks: Sequence[int],
    seeds: Sequence[int],
    runtime: Runtime,
) -> list[Fit]:
    """`fit` of each k, of all seeds, on the images of train of FEATURES through PCA with `dims`.
    Raises StageError where no cluster can be had, and what `fit` raises."""
    tasks = [(k, seed) for k in ks for seed in seeds]
    prepare = partial(_fitter, fit, features, pca, dims)
    with tqdm(total=len(tasks), desc="k-means", disable=None, unit="seed") as bar:
        found: list[Fit] = answers_in_order(prepare, tasks, runtime, lambda _: bar.update())
    of_each_k = (found[first : first + len(seeds)] for first in range(0, len(tasks), len(seeds)))
    return [
        Fit(*(np.concatenate(arrays) for arrays in zip(*fits, strict=True))) for fits in of_each_k
    ]


def _fitter(
    fit: FitOne, features: Path, pca: Path, dims: int, runtime: Runtime
) -> Callable[[int, int], Fit]:
    rows = open_space(features, pca).fitted(dims, runtime.memory_gb)
    return lambda k, seed: fit(rows, k, seed, runtime.device)
