"""The 50 nearest neighbours, exactly: beside the bare product of matrices, faiss and scikit-learn.

Seconds are the median of 3 (in the first row), by turns, each with all cores. `bare` is the product
of all pairs in float32, 4,096 targets at a time, with nothing kept of it: by numpy and by torch,
the faster of the two. Ours can be below it, for its products may be coarse ones where the processor
has them (`cluster.kernels.low_precision`); what they leave open is compared in float64, which the
others never do. The neighbours of 2,000 images are held to products in float64."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from bench.kmeans import features
from cluster.kernels.int8_product import fastest_precision
from cluster.neighbors.exact import nearest_neighbors
from cluster.vectors.rows import ArrayRows

PACKAGES = ("numpy", "torch", "scikit-learn", "faiss-cpu")
BY_PROCESSOR = True
K, TARGETS, QUERIES = 50, 4096, 1024
CASES = ((20_000, 768, 3), (20_000, 1280, 1))  # images, dim, repeats
SKLEARN_UP_TO, HELD = 20_000 * 768, 2000  # numbers; images that are held to float64
AGREES = 1e-12  # similarity by which a neighbour may miss the true k-th


def run() -> list[dict[str, Any]]:
    """One row a case."""
    return [_compare(features(images, dim), repeats) for images, dim, repeats in CASES]


def _compare(x: np.ndarray, repeats: int) -> dict[str, Any]:
    ways: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
        "cairn": _cairn,
        "numpy": _numpy,
        "torch": _torch,
        "faiss": _faiss,
    }
    if x.size <= SKLEARN_UP_TO:
        ways["sklearn"] = _sklearn
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Any] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            begin = time.perf_counter()
            found[name] = way(x)
            seconds[name].append(time.perf_counter() - begin)
    if missed := _missed(x, found["cairn"]):
        raise SystemExit(f"{missed} neighbours of {len(x)} x {x.shape[1]} are none in float64")
    middle = {name: median(values) for name, values in seconds.items()}
    ours, bare = middle["cairn"], min(middle["numpy"], middle["torch"])
    sklearn = middle.get("sklearn")
    return {
        "images": len(x),
        "dim": x.shape[1],
        "k": K,
        "coarse": fastest_precision("cpu").precision or "no",
        "cairn_s": round(ours, 3),
        "bare_s": round(bare, 3),
        "faiss_s": round(middle["faiss"], 3),
        "sklearn_s": sklearn and round(sklearn, 3),
        "cairn/bare": round(ours / bare, 2),
        "faiss/cairn": round(middle["faiss"] / ours, 2),
        "sklearn/cairn": sklearn and round(sklearn / ours, 2),
        "missed_by_faiss": _missed(x, found["faiss"]),
    }


def _missed(x: np.ndarray, neighbor: np.ndarray, step: int = 1000) -> int:
    """How many of the neighbours of the images that are held to float64 are none there."""
    held = np.linspace(0, len(x) - 1, min(len(x), HELD)).astype(np.int64)
    wide = x.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    missed = 0
    for start in range(0, len(held), step):
        image = held[start : start + step]
        similarity = wide[image] @ wide.T
        each = np.arange(len(image))
        similarity[each, image] = -np.inf
        kth = np.partition(similarity, -K, axis=1)[:, -K]
        theirs = similarity[each[:, None], neighbor[image]]
        missed += int((theirs < kth[:, None] - AGREES).sum())
    return missed


def _cairn(x: np.ndarray) -> np.ndarray:
    rows = ArrayRows(x)
    return nearest_neighbors(rows, rows, K, metric="cosine", own=np.arange(len(x))).neighbor


def _numpy(x: np.ndarray) -> None:
    room = np.empty((QUERIES, TARGETS), np.float32)
    for start in range(0, len(x), TARGETS):
        target = x[start : start + TARGETS].T
        for low in range(0, len(x), QUERIES):
            query = x[low : low + QUERIES]
            whole = query.shape[0] == QUERIES and target.shape[1] == TARGETS
            np.matmul(query, target, out=room if whole else None)


def _torch(x: np.ndarray) -> None:
    whole = torch.from_numpy(x)
    room = torch.empty(QUERIES * TARGETS)
    for target in whole.split(TARGETS):
        for query in whole.split(QUERIES):
            out = room[: len(query) * len(target)].view(len(query), len(target))
            torch.mm(query, target.T, out=out)


def _faiss(x: np.ndarray) -> np.ndarray:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    return _without_own(index.search(x, K + 1)[1])


def _sklearn(x: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=K + 1, metric="cosine", algorithm="brute").fit(x)
    return _without_own(found.kneighbors(x, return_distance=False))


def _without_own(found: np.ndarray) -> np.ndarray:
    """The first K but for the row itself."""
    last = found == np.arange(len(found))[:, None]
    order = np.argsort(last, axis=1, kind="stable")[:, :K]
    return np.take_along_axis(found, order, 1)
