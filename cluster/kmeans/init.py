"""Greedy k-means++ (Arthur and Vassilvitskii 2007) as in scikit-learn, several runs in one read.

But: in float64, so that rounding, which differs between machines, does not change what is drawn.
Given fixed centroids, such as those of known classes, even the first new one is drawn by its
distance to these.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from cluster.vectors.rows import TILE, Rows
from cluster.vectors.tiles import to_tile

CELLS = 25_000_000  # distances held at once (200 MB of float64)

Run = tuple[int, int]  # seed and number of the start: they seed the run's random numbers


def start_centroids(
    rows: Rows,
    k: int,
    runs: Sequence[Run],
    cosine: bool,
    init_images: int,
    device: str,
    fixed: Float32[np.ndarray, "known dim"] | None = None,
) -> Float32[np.ndarray, "run cluster dim"]:
    """k new initial centroids of each run by k-means++, in addition to those that are `fixed`.

    Of more than `init_images` rows it uses a sample of that size (at least k), drawn per seed.
    """
    n, size = len(rows), max(init_images, k)
    if n <= size:
        return _starts(rows.block(0, n), k, runs, cosine, device, fixed)
    starts = []
    for seed, own in groupby(runs, key=itemgetter(0)):
        sample = np.sort(np.random.default_rng([seed, n]).choice(n, size, replace=False))
        starts.append(_starts(rows.take(sample), k, list(own), cosine, device, fixed))
    return np.concatenate(starts)


def _starts(
    vectors: Float32[np.ndarray, "image dim"],
    k: int,
    runs: Sequence[Run],
    cosine: bool,
    device: str,
    fixed: Float32[np.ndarray, "known dim"] | None,
) -> Float32[np.ndarray, "run cluster dim"]:
    x = to_tile(vectors, device, cosine).double()
    known = None if fixed is None else to_tile(fixed, device, cosine).double()
    group = max(1, CELLS // (len(x) * local_trials(k)))  # as many runs at once as memory allows
    chosen = torch.cat(
        [
            kmeans_plus_plus(x, k, runs[low : low + group], known)
            for low in range(0, len(runs), group)
        ]
    )
    starts = to_tile(vectors[chosen.ravel().cpu().numpy()], device, cosine)
    return starts.view(len(runs), k, -1).cpu().numpy()


def local_trials(k: int) -> int:
    """Candidates that each step of greedy k-means++ compares, as in scikit-learn."""
    return 2 + int(np.log(k))


def kmeans_plus_plus(
    x: Float64[torch.Tensor, "image dim"],
    k: int,
    runs: Sequence[Run],
    fixed: Float64[torch.Tensor, "known dim"] | None = None,
) -> Int64[torch.Tensor, "run k"]:
    """The rows of x that start each run. A run has its own random numbers, so the other runs
    have no influence.

    The first row is drawn uniformly, unless centroids are `fixed`. Every other step draws 2 + log k
    candidates with probability proportional to the squared distance to the nearest chosen row or
    fixed centroid, and keeps the candidate that lowers the sum of these distances most.
    """
    n, trials = len(x), local_trials(k)
    draws = np.stack([np.random.default_rng(run).random((k, trials)) for run in runs])
    squares = torch.cat([some.square().sum(1) for some in x.split(TILE)])  # not all at once
    each = torch.arange(len(runs), device=x.device)
    chosen = torch.empty(len(runs), k, dtype=torch.int64, device=x.device)
    if fixed is None:
        chosen[:, 0] = torch.from_numpy((draws[:, 0, 0] * n).astype(np.int64))
        nearest = _squared(x, squares, chosen[:, 0])  # [run, image]
    else:
        nearest = _to_nearest(x, squares, fixed).repeat(len(runs), 1)
    for step in range(fixed is None, k):
        weight = nearest.cumsum(1)
        aim = torch.from_numpy(draws[:, step]).to(x.device) * weight[:, -1:]
        # right: the first row beyond the aim, so never one at distance 0
        candidates = torch.searchsorted(weight, aim, right=True).clamp_(max=n - 1)  # [run, trial]
        distance = _squared(x, squares, candidates.ravel()).view(-1, trials, n)
        torch.minimum(distance, nearest[:, None], out=distance)
        best = distance.sum(2).argmin(1)
        chosen[:, step], nearest = candidates[each, best], distance[each, best]
    return chosen


def _squared(
    x: Float64[torch.Tensor, "image dim"],
    squares: Float64[torch.Tensor, " image"],
    rows: Int64[torch.Tensor, " row"],
) -> Float64[torch.Tensor, "row image"]:
    """The squared distance of some rows to every row."""
    distance = torch.addmm(squares, x[rows], x.T, alpha=-2)
    distance.add_(squares[rows, None]).clamp_(min=0)
    distance[torch.arange(len(rows), device=x.device), rows] = 0  # a row cannot be drawn twice
    return distance


def _to_nearest(
    x: Float64[torch.Tensor, "image dim"],
    squares: Float64[torch.Tensor, " image"],
    fixed: Float64[torch.Tensor, "known dim"],
) -> Float64[torch.Tensor, " image"]:
    """The squared distance of every row to the nearest fixed centroid."""
    least = torch.full_like(squares, torch.inf)
    for some in fixed.split(max(1, CELLS // len(x))):
        distance = torch.addmm(squares, some, x.T, alpha=-2).add_(some.square().sum(1)[:, None])
        torch.minimum(least, distance.amin(0), out=least)
    return least.clamp_(min=0)
