"""Lengths of vectors, and distances to a centroid that is known, by differences: exact near 0."""

from collections.abc import Callable
from functools import partial

import torch

from cluster.coarse import coarse
from cluster.cores import on_cores

ROWS = 512  # that stay in the cache of a core, with their differences


def lengths(x: torch.Tensor) -> torch.Tensor:
    """Of x [image, dim]."""
    return _of_rows(partial(torch.linalg.vector_norm, dim=1), x)


def rests(x: torch.Tensor) -> torch.Tensor:
    """What coarse products take x [image, dim] from itself at most."""
    return _of_rows(coarse(x.device).rest, x)


def distances(x: torch.Tensor, centroids: torch.Tensor, cluster: torch.Tensor) -> torch.Tensor:
    """Of x [image, dim] to its own (`cluster`, int64 [image]) of centroids [cluster, dim]."""
    if x.is_cuda:
        parts = zip(x.split(ROWS * 16), cluster.split(ROWS * 16), strict=True)
        return torch.cat([centroids[own].sub_(part).norm(dim=1) for part, own in parts])
    out = torch.empty(len(x))

    def part(start: int) -> None:
        here = slice(start, start + ROWS)
        apart = centroids[cluster[here]].sub_(x[here])
        torch.linalg.vector_norm(apart, dim=1, out=out[here])

    on_cores(part, range(0, len(x), ROWS))
    return out


def _of_rows(work: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    if x.is_cuda:
        return work(x)
    out = torch.empty(len(x))

    def part(start: int) -> None:
        out[start : start + ROWS] = work(x[start : start + ROWS])

    on_cores(part, range(0, len(x), ROWS))
    return out
