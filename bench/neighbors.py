"""The 50 nearest neighbours of 20,000 x 768 features, beside faiss's and scikit-learn's.

Seconds are the median of 3, by turns, each with all cores. `candidates_s` is ours without what
makes it exact (similarities anew in float64, ranks, doubts), so it is what compares with faiss_s
and with faiss_tiles_s (4,096 targets at a time, as a store beyond the RAM is read). Own products
were chosen over faiss's because `faiss_tiles/candidates` was above 1: between tiles, only what
passes the floor of the earlier ones is looked at. Neighbours are held to products in float64.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from bench.kmeans import features
from cluster.candidates import candidates
from cluster.neighbors import TARGETS, nearest_neighbors
from cluster.rows import ArrayRows

PACKAGES = ("numpy", "torch", "scikit-learn", "faiss-cpu")
IMAGES, DIM, K, REPEATS = 20_000, 768, 50, 3
AGREES = 1e-12  # similarity by which a neighbour may miss the true k-th


def run() -> list[dict[str, Any]]:
    """One row."""
    x = features(IMAGES, DIM)
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "cairn": _cairn,
        "candidates": _candidates,
        "faiss": _faiss,
        "faiss_tiles": _faiss_tiles,
        "sklearn": _sklearn,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for _ in range(REPEATS):
        for name, way in ways.items():
            begin = time.perf_counter()
            found[name] = way(x)
            seconds[name].append(time.perf_counter() - begin)
    missed = _missed(x, found["cairn"])
    if missed:
        raise SystemExit(f"{missed} neighbours are none in float64")
    middle = {name: median(values) for name, values in seconds.items()}
    return [
        {
            "images": IMAGES,
            "k": K,
            **{f"{name}_s": round(value, 3) for name, value in middle.items()},
            "faiss/cairn": round(middle["faiss"] / middle["cairn"], 2),
            "sklearn/cairn": round(middle["sklearn"] / middle["cairn"], 2),
            "faiss_tiles/candidates": round(middle["faiss_tiles"] / middle["candidates"], 2),
            "missed_by_faiss": _missed(x, found["faiss"]),
        }
    ]


def _missed(x: np.ndarray, neighbor: np.ndarray, step: int = 1000) -> int:
    """How many of the neighbours of each image are none in float64."""
    wide = x.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    missed = 0
    for start in range(0, len(x), step):
        similarity = wide[start : start + step] @ wide.T
        each = np.arange(len(similarity))
        similarity[each, start + each] = -np.inf
        kth = np.partition(similarity, -K, axis=1)[:, -K]
        theirs = similarity[each[:, None], neighbor[start : start + step]]
        missed += int((theirs < kth[:, None] - AGREES).sum())
    return missed


def _cairn(x: np.ndarray) -> np.ndarray:
    rows = ArrayRows(x)
    return nearest_neighbors(rows, rows, K, metric="cosine", own=np.arange(len(x))).neighbor


def _candidates(x: np.ndarray) -> np.ndarray:
    tiles = ((start, x[start : start + TARGETS]) for start in range(0, len(x), TARGETS))
    own = np.arange(len(x))
    return candidates(x, tiles, K + 1, own, device="cpu", progress=lambda: None).position


def _faiss(x: np.ndarray) -> np.ndarray:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    found = index.search(x, K + 1)[1]
    return _without_own(found)


def _faiss_tiles(x: np.ndarray) -> np.ndarray:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    values, places = [], []
    for start in range(0, len(x), TARGETS):
        tile = x[start : start + TARGETS]
        value, place = faiss.knn(x, tile, K + 1, metric=faiss.METRIC_INNER_PRODUCT)
        values.append(value)
        places.append(place + start)
    best = np.argsort(-np.concatenate(values, 1), axis=1)[:, : K + 1]
    return _without_own(np.take_along_axis(np.concatenate(places, 1), best, 1))


def _sklearn(x: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=K + 1, metric="cosine", algorithm="brute").fit(x)
    return _without_own(found.kneighbors(x, return_distance=False))


def _without_own(found: np.ndarray) -> np.ndarray:
    """The first K but for the row itself."""
    last = found == np.arange(len(found))[:, None]
    order = np.argsort(last, axis=1, kind="stable")[:, :K]
    return np.take_along_axis(found, order, 1)
