"""k-means against scikit-learn's and faiss's: same start, same passes, 50,000 x 768 features.

Seconds are the median of 3, by turns, each with all cores. Ours and scikit-learn's hold one pass
more, the final assignment. Inertia is held to scikit-learn's.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from cluster.assign import assign
from cluster.kmeans import kmeans
from cluster.rows import ArrayRows

PACKAGES = ("numpy", "torch", "scikit-learn", "faiss-cpu")
IMAGES, DIM, CLUSTERS, PASSES, REPEATS = 50_000, 768, (10, 100, 1000), 10, 3
AGREES = 1e-4  # relative difference of inertia


def run() -> list[dict[str, Any]]:
    """One row for each number of clusters."""
    x = features(IMAGES, DIM)
    return [compare(x, k) for k in CLUSTERS]


def features(n: int, dim: int, classes: int = 200) -> np.ndarray:
    """Unit vectors like a backbone's: classes that overlap, and a spectrum that decays."""
    generator = np.random.default_rng(0)
    scale = np.arange(1, dim + 1) ** -0.5
    centre = generator.standard_normal((classes, dim))
    noise = generator.standard_normal((n, dim))
    rotation = np.linalg.qr(generator.standard_normal((dim, dim)))[0]
    x = ((centre[generator.integers(classes, size=n)] + noise) * scale) @ rotation
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def compare(x: np.ndarray, k: int) -> dict[str, Any]:
    """Seconds, and how many times longer than ours the others take, for `k` clusters."""
    start = x[np.random.default_rng(k).choice(len(x), k, replace=False)]
    ways = {"cairn": _cairn, "sklearn": _sklearn, "faiss": _faiss}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    inertia = {}
    for _ in range(REPEATS):
        for name, way in ways.items():
            took, centroids = _timed(way, x, start)
            seconds[name].append(took)
            distance = assign(ArrayRows(x), centroids[None]).distance
            inertia[name] = float(np.square(distance, dtype=np.float64).sum())
    for name, value in inertia.items():
        if not np.isclose(value, inertia["sklearn"], rtol=AGREES):
            raise SystemExit(f"k={k}: inertia of {name} is {value}, not {inertia['sklearn']}")
    middle = {name: median(values) for name, values in seconds.items()}
    return {
        "k": k,
        **{f"{name}_s": round(value, 3) for name, value in middle.items()},
        "sklearn/cairn": round(middle["sklearn"] / middle["cairn"], 2),
        "faiss/cairn": round(middle["faiss"] / middle["cairn"], 2),
        "inertia": inertia["cairn"],
        "cairn/sklearn-1": inertia["cairn"] / inertia["sklearn"] - 1,
        "faiss/sklearn-1": inertia["faiss"] / inertia["sklearn"] - 1,
    }


def _timed(way: Callable[..., np.ndarray], x: np.ndarray, start: np.ndarray) -> Any:
    begin = time.perf_counter()
    centroids = way(x, start)
    return time.perf_counter() - begin, centroids


def _cairn(x: np.ndarray, start: np.ndarray) -> np.ndarray:
    fit = kmeans(
        ArrayRows(x), len(start), seeds=[0], n_init=1, max_iter=PASSES, tol=0, starts=start[None]
    )
    return fit.centroids[0]


def _sklearn(x: np.ndarray, start: np.ndarray) -> np.ndarray:
    from sklearn.cluster import KMeans

    found = KMeans(len(start), init=start, n_init=1, max_iter=PASSES, tol=0).fit(x)
    if found.n_iter_ != PASSES:
        raise SystemExit(f"scikit-learn ended after {found.n_iter_} passes, not {PASSES}")
    return found.cluster_centers_


def _faiss(x: np.ndarray, start: np.ndarray) -> np.ndarray:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    found = faiss.Kmeans(
        x.shape[1],
        len(start),
        niter=PASSES,
        min_points_per_centroid=1,
        max_points_per_centroid=10**9,  # no image is left out
    )
    found.train(x, init_centroids=start)
    return found.centroids
