"""The nearest centroid of each vector, for several sets of centroids in one read."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.rows import TILE, Rows

CELLS = 64_000_000  # distances held at once (256 MB of float32)


class Nearest(NamedTuple):
    """assignment: int32 [seed, image]; distance: float32 [seed, image], Euclidean, to the own
    centroid."""

    assignment: np.ndarray
    distance: np.ndarray


def tile_rows(n_centroids: int) -> int:
    """Rows whose distances to that many centroids fit in CELLS; depends on nothing else."""
    return max(256, min(TILE, CELLS // max(n_centroids, 1) // 256 * 256))


def nearest_in_tile(
    x: torch.Tensor, centroids: torch.Tensor, squares: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """x [image, dim], centroids [run, cluster, dim], their squares [run, cluster] → cluster int64
    [image, run] and the squared distance less |x|², float32 [image, run]. Ties: the lower cluster.
    """
    runs, k, dim = centroids.shape
    scores = torch.addmm(squares.reshape(-1), x, centroids.reshape(-1, dim).T, alpha=-2)
    value, cluster = scores.view(len(x), runs, k).min(2)
    return cluster, value


def assign(
    rows: Rows, centroids: np.ndarray, *, unit: bool = False, device: str = "cpu"
) -> Nearest:
    """Nearest of `centroids` (float32 [seed, cluster, dim]) for all rows; `unit`: rows are scaled
    to length 1 first (the cosine metric). Distances are taken by differences: exact near 0.
    """
    seeds, k, _ = centroids.shape
    c = torch.as_tensor(centroids, dtype=torch.float32, device=device)
    shift = c.mean(dim=(0, 1))  # smaller numbers, smaller rounding
    c = c - shift
    squares = c.square().sum(2)
    out = Nearest(np.empty((seeds, len(rows)), np.int32), np.empty((seeds, len(rows)), np.float32))
    step = tile_rows(seeds * k)
    for start in range(0, len(rows), step):
        stop = min(start + step, len(rows))
        x = to_tile(rows.block(start, stop), device, unit) - shift
        cluster, _ = nearest_in_tile(x, c, squares)
        for seed in range(seeds):
            own = c[seed][cluster[:, seed]]
            distance = (x - own).square().sum(1).sqrt()
            out.assignment[seed, start:stop] = cluster[:, seed].cpu().numpy()
            out.distance[seed, start:stop] = distance.cpu().numpy()
    return out


def to_tile(block: np.ndarray, device: str, unit: bool) -> torch.Tensor:
    """A block on the device, scaled to unit length for the cosine metric."""
    x = torch.from_numpy(block).to(device, non_blocking=True)
    return torch.nn.functional.normalize(x, dim=1) if unit else x
