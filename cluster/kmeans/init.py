"""Greedy k-means++ (Arthur and Vassilvitskii 2007) as in scikit-learn, several runs in one read.

But: in float64, so that rounding, which differs between machines, does not change what is drawn.
With centroids that are given, such as those of known classes, the first is drawn like all others.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
import torch

from cluster.vectors.rows import Rows
from cluster.vectors.tiles import to_tile

CELLS = 25_000_000  # distances held at once (200 MB of float64)

Run = tuple[int, int]  # seed and number of the start: these make a run's random numbers


def start_centroids(
    rows: Rows,
    k: int,
    runs: Sequence[Run],
    cosine: bool,
    init_images: int,
    device: str,
    given: np.ndarray | None = None,
) -> np.ndarray:
    """k-means++ starts, float32 [run, cluster, dim], beside those that are `given` (float32
    [known cluster, dim]) if any.

    Of more than `init_images` rows it looks at that many (at least k), drawn anew for each seed.
    """
    n, size = len(rows), max(init_images, k)
    if n <= size:
        return _starts(rows.block(0, n), k, runs, cosine, device, given)
    starts = []
    for seed, own in groupby(runs, key=itemgetter(0)):
        sample = np.sort(np.random.default_rng([seed, n]).choice(n, size, replace=False))
        starts.append(_starts(rows.take(sample), k, list(own), cosine, device, given))
    return np.concatenate(starts)


def _starts(
    vectors: np.ndarray,
    k: int,
    runs: Sequence[Run],
    cosine: bool,
    device: str,
    given: np.ndarray | None,
) -> np.ndarray:
    x = to_tile(vectors, device, cosine).double()
    fixed = None if given is None else to_tile(given, device, cosine).double()
    group = max(1, CELLS // (len(x) * trials(k)))  # as many runs at once as memory allows
    chosen = torch.cat(
        [
            kmeans_plus_plus(x, k, runs[low : low + group], fixed)
            for low in range(0, len(runs), group)
        ]
    )
    starts = to_tile(vectors[chosen.ravel().cpu().numpy()], device, cosine)
    return starts.view(len(runs), k, -1).cpu().numpy()


def trials(k: int) -> int:
    """Candidates a step of greedy k-means++ looks at, as in scikit-learn."""
    return 2 + int(np.log(k))


def kmeans_plus_plus(
    x: torch.Tensor, k: int, runs: Sequence[Run], given: torch.Tensor | None = None
) -> torch.Tensor:
    """Rows of x (float64 [image, dim]) that start each run: int64 [run, k]. A run has random
    numbers of its own, whatever other runs are beside it.

    The first is drawn evenly, unless centroids are `given` (float64 [known cluster, dim]). Every
    other step draws 2 + log k candidates with probability proportional to the squared distance to
    the nearest chosen row or given centroid, and keeps the one that lowers the sum most.
    """
    n, tries = len(x), trials(k)
    draws = np.stack([np.random.default_rng(run).random((k, tries)) for run in runs])
    squares = x.square().sum(1)
    each = torch.arange(len(runs), device=x.device)
    chosen = torch.empty(len(runs), k, dtype=torch.int64, device=x.device)
    if given is None:
        chosen[:, 0] = torch.from_numpy((draws[:, 0, 0] * n).astype(np.int64))
        nearest = _squared(x, squares, chosen[:, 0])  # [run, image]
    else:
        nearest = _to_nearest(x, squares, given).repeat(len(runs), 1)
    for step in range(given is None, k):
        weight = nearest.cumsum(1)
        aim = torch.from_numpy(draws[:, step]).to(x.device) * weight[:, -1:]
        # right: the first row beyond the aim, so never one at distance 0
        candidates = torch.searchsorted(weight, aim, right=True).clamp_(max=n - 1)  # [run, trial]
        distance = _squared(x, squares, candidates.ravel()).view(-1, tries, n)
        torch.minimum(distance, nearest[:, None], out=distance)
        best = distance.sum(2).argmin(1)
        chosen[:, step], nearest = candidates[each, best], distance[each, best]
    return chosen


def _squared(x: torch.Tensor, squares: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Squared distance of `rows` (int64 [m]) to every row: float64 [m, image]."""
    distance = torch.addmm(squares, x[rows], x.T, alpha=-2)
    distance.add_(squares[rows, None]).clamp_(min=0)
    distance[torch.arange(len(rows), device=x.device), rows] = 0  # a row cannot be drawn twice
    return distance


def _to_nearest(x: torch.Tensor, squares: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Squared distance of every row to the nearest centroid that is given: float64 [image]."""
    least = torch.full_like(squares, torch.inf)
    for part in given.split(max(1, CELLS // len(x))):
        distance = torch.addmm(squares, part, x.T, alpha=-2).add_(part.square().sum(1)[:, None])
        torch.minimum(least, distance.amin(0), out=least)
    return least.clamp_(min=0)
