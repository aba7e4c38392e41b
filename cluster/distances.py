"""Lengths of vectors, and distances to a centroid that is known, by differences: exact near 0."""

import torch

from cluster.cores import on_cores

ROWS = 512  # that stay in the cache of a core, with their differences


def lengths(x: torch.Tensor) -> torch.Tensor:
    """Of x [image, dim]."""
    if x.is_cuda:
        return x.norm(dim=1)
    out = torch.empty(len(x))

    def part(start: int) -> None:
        here = slice(start, start + ROWS)
        torch.linalg.vector_norm(x[here], dim=1, out=out[here])

    on_cores(part, range(0, len(x), ROWS))
    return out


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
