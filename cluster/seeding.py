"""Greedy k-means++ (Arthur and Vassilvitskii 2007) as in scikit-learn, all runs in one read."""

from collections.abc import Sequence

import numpy as np
import torch

from cluster.assign import to_tile
from cluster.rows import Rows

CELLS = 50_000_000  # distances held at once (200 MB of float32)


def start_centroids(
    rows: Rows,
    k: int,
    seeds: Sequence[int],
    n_init: int,
    cosine: bool,
    init_images: int,
    device: str,
) -> np.ndarray:
    """k-means++ starts, float32 [seed x start, cluster, dim], seed-major.

    Of more than `init_images` rows it looks at that many (at least k), drawn anew for each seed.
    """
    n, size = len(rows), max(init_images, k)
    if n <= size:
        return _starts(rows.take(np.arange(n)), k, seeds, n_init, cosine, device)
    samples = [np.sort(np.random.default_rng([s, n]).choice(n, size, replace=False)) for s in seeds]
    return np.concatenate(
        [
            _starts(rows.take(sample), k, [seed], n_init, cosine, device)
            for seed, sample in zip(seeds, samples, strict=True)
        ]
    )


def _starts(
    vectors: np.ndarray, k: int, seeds: Sequence[int], n_init: int, cosine: bool, device: str
) -> np.ndarray:
    x = to_tile(vectors, device, cosine)
    centred = x - x.mean(0)
    runs = [(seed, start) for seed in seeds for start in range(n_init)]
    group = max(1, CELLS // (len(x) * trials(k)))  # as many runs at once as memory allows
    chosen = [
        kmeans_plus_plus(centred, k, runs[low : low + group]) for low in range(0, len(runs), group)
    ]
    return x[torch.cat(chosen)].cpu().numpy()


def trials(k: int) -> int:
    """Candidates a step of greedy k-means++ looks at, as in scikit-learn."""
    return 2 + int(np.log(k))


def kmeans_plus_plus(x: torch.Tensor, k: int, seeds: list[tuple[int, int]]) -> torch.Tensor:
    """Rows of x ([image, dim]) that start each run: int64 [run, k]. `seeds` (seed, start) makes the
    random numbers of a run, whatever other runs are beside it.

    Each step draws 2 + log k candidates with probability proportional to the squared distance to
    the nearest chosen row, and keeps the one that lowers the sum most.
    """
    runs, n, tries = len(seeds), len(x), trials(k)
    draws = np.stack([np.random.default_rng(seed).random((k, tries)) for seed in seeds])
    squares = x.square().sum(1)
    chosen = torch.empty(runs, k, dtype=torch.int64, device=x.device)
    chosen[:, 0] = torch.from_numpy((draws[:, 0, 0] * n).astype(np.int64))
    nearest = _squared(x, squares, chosen[:, 0])  # [run, image]
    for step in range(1, k):
        weight = nearest.double().cumsum(1)
        aim = torch.from_numpy(draws[:, step]).to(x.device) * weight[:, -1:]
        candidates = torch.searchsorted(weight, aim).clamp(max=n - 1)  # [run, trial]
        distance = _squared(x, squares, candidates.reshape(-1)).view(runs, tries, n)
        distance = torch.minimum(distance, nearest[:, None])
        best = distance.sum(2, dtype=torch.float64).argmin(1)
        run = torch.arange(runs, device=x.device)
        chosen[:, step], nearest = candidates[run, best], distance[run, best]
    return chosen


def _squared(x: torch.Tensor, squares: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Squared distance of `rows` (int64 [m]) to every row: float32 [m, image]."""
    product = x[rows] @ x.T
    distance = (squares[rows, None] + squares - 2 * product).clamp_(min=0)
    distance[torch.arange(len(rows), device=x.device), rows] = 0  # a row cannot be drawn twice
    return distance
