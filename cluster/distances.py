"""Lengths of vectors, and distances to a centroid that is known, by differences: exact near 0."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.coarse import coarse
from cluster.compiled import compiled
from cluster.cores import on_cores

ROWS = 1024  # that a core takes at once, and a GPU 16 times as many


class Measures(NamedTuple):
    """length: float32 [image]; rest: float32 [image], what coarse products take a vector from
    itself, at most; total: float64 [dim], the sum of the vectors."""

    length: torch.Tensor
    rest: torch.Tensor
    total: torch.Tensor


def measured(x: torch.Tensor) -> Measures:
    """Of x [image, dim], in one read."""
    n, dim = x.shape
    length, rest = torch.empty(2, n, device=x.device)
    total = torch.zeros(-(-n // ROWS), dim, dtype=torch.float64, device=x.device)
    way = coarse(x.device)

    def part(start: int) -> None:
        here = slice(start, start + ROWS)
        _measure(*(each.numpy() for each in (x[here], length[here], total[start // ROWS])))
        rest[here] = way.rest(x[here])

    if x.is_cuda:
        for start in range(0, n, ROWS):
            here = slice(start, start + ROWS)
            length[here], rest[here] = x[here].norm(dim=1), way.rest(x[here])
            total[start // ROWS] = x[here].sum(0, dtype=torch.float64)
    else:
        on_cores(part, range(0, n, ROWS))
    return Measures(length, rest, total.cumsum(0)[-1] if n else total.sum(0))


def rests(x: torch.Tensor) -> torch.Tensor:
    """What coarse products take x [image, dim] from itself at most."""
    if x.is_cuda:
        return coarse(x.device).rest(x)
    return measured(x).rest


def distances(x: torch.Tensor, centroids: torch.Tensor, cluster: torch.Tensor) -> torch.Tensor:
    """Of x [image, dim] to its own (`cluster`, int64 [image]) of centroids [cluster, dim]."""
    if x.is_cuda:
        parts = zip(x.split(ROWS * 16), cluster.split(ROWS * 16), strict=True)
        return torch.cat([centroids[own].sub_(part).norm(dim=1) for part, own in parts])
    out = torch.empty(len(x))
    told = x.numpy(), centroids.numpy(), cluster.numpy(), out.numpy()
    on_cores(lambda start: _distances(start, min(start + ROWS, len(x)), *told),
             range(0, len(x), ROWS))  # fmt: skip
    return out


@compiled
def _measure(x: np.ndarray, length: np.ndarray, total: np.ndarray) -> None:
    for image in range(len(x)):
        square = 0.0
        for d in range(len(total)):
            value = np.float64(x[image, d])
            square += value * value
            total[d] += value
        length[image] = np.sqrt(square)


@compiled
def _distances(
    start: int, stop: int, x: np.ndarray, centroids: np.ndarray, cluster: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    for image in range(start, stop):
        square, own = 0.0, cluster[image]
        for d in range(x.shape[1]):
            apart = np.float64(x[image, d]) - np.float64(centroids[own, d])
            square += apart * apart
        out[image] = np.sqrt(square)
