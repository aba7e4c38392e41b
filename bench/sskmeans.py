"""Semi-supervised k-means against k-means, both ours: 100,000 x 768 features, 200 clusters.

Same restarts and passes (`tol` is 0 and no run ends early). Of 200 classes 100 are known, and half
their images labelled. Seconds are the least of 3, by turns, each with all cores, to the inertia.
From k-means++, which draws 200 images out of all or 100 out of the unlabelled ones; and from given
starts, where only the passes are left.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.kmeans import features
from cluster.kmeans.api import Fit, kmeans
from cluster.kmeans.assign import assign
from cluster.kmeans.semi_supervised import sskmeans
from cluster.vectors.rows import ArrayRows

PACKAGES = ("numpy", "torch")
IMAGES, DIM, CLUSTERS, KNOWN = 100_000, 768, 200, 100
PASSES, RESTARTS, REPEATS = 5, 2, 3


def run() -> list[dict[str, Any]]:
    """One row from drawn starts, one from given ones."""
    rows = ArrayRows(features(IMAGES, DIM))
    label = labels(rows.array)
    means = [rows.array[label == c].mean(axis=0) for c in range(KNOWN)]
    new = np.flatnonzero(label < 0)[: CLUSTERS - KNOWN]
    starts = np.tile(np.concatenate([means, rows.array[new]]), (RESTARTS, 1, 1))
    return [compare(rows, label, None), compare(rows, label, starts)]


def labels(x: np.ndarray) -> np.ndarray:
    """The class of every second image of the known classes, else -1: int64 [image]. Classes are the
    images that are nearest to each of the first 200."""
    nearest = assign(ArrayRows(x), x[None, :CLUSTERS]).assignment[0].astype(np.int64)
    second = np.arange(len(x)) % 2 == 1
    second[:KNOWN] = True  # each class has one
    return np.where((nearest < KNOWN) & second, nearest, -1)


def compare(rows: ArrayRows, label: np.ndarray, starts: np.ndarray | None) -> dict[str, Any]:
    """Seconds, and how many times longer than k-means the other takes."""
    common: dict[str, Any] = {
        "seeds": [0], "n_init": RESTARTS, "max_iter": PASSES, "tol": 0, "starts": starts,
    }  # fmt: skip
    ways: dict[str, Callable[[], Fit]] = {
        "kmeans": lambda: kmeans(rows, CLUSTERS, **common),
        "sskmeans": lambda: sskmeans(rows, label, CLUSTERS, **common),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    inertia = {}
    for _ in range(REPEATS):
        for name, way in ways.items():
            begin = time.perf_counter()
            fit = way()
            seconds[name].append(time.perf_counter() - begin)
            inertia[name] = float(fit.inertia[0])
            if fit.iterations[0] != PASSES:
                raise SystemExit(f"{name} ended after {fit.iterations[0]} passes, not {PASSES}")
    least = {name: min(values) for name, values in seconds.items()}
    return {
        "starts": "k-means++" if starts is None else "given",
        "labelled": int((label >= 0).sum()),
        **{f"{name}_s": round(value, 3) for name, value in least.items()},
        "sskmeans/kmeans": round(least["sskmeans"] / least["kmeans"], 2),
        **{f"{name}_inertia": value for name, value in inertia.items()},
    }
