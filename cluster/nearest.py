"""The nearest centroid of each vector, as exact arithmetic would have it.

A product of matrices in float32 says which it is, up to its rounding, and that depends on the
library, the number of threads, and what else is in the product. So where the two best are closer
than the rounding, which is rare, float64 decides: the answer is the same on any machine.
"""

from typing import NamedTuple

import numpy as np
import torch

from cluster.cores import on_cores

CELLS = 64_000_000  # distances that a GPU holds at once (256 MB of float32)
CORE_CELLS, CORE_ROWS = 16_000_000, 1024  # and a core of a CPU; rows that it keeps in its cache
# Errors of a dot product of n float32 add up like a random walk: to a few times this, times √n.
ROUNDING = 16 * 2.0**-24
TIE = 1e-12  # squared distances that differ by less, relative to |x||c|, are equal


class Targets(NamedTuple):
    """Centroids, with what the distances to them take."""

    scaled: torch.Tensor  # the centroids times -2, float32 [run x cluster, dim]
    squares: torch.Tensor  # float32 [run x cluster]
    longest: torch.Tensor  # the largest norm in each run, float32 [run]
    exact: torch.Tensor  # float64 [run, cluster, dim]


def targets(centroids: torch.Tensor) -> Targets:
    """Make `centroids` (float32 [run, cluster, dim]) ready for nearest_in_tile."""
    squares = centroids.square().sum(2)
    scaled = -2 * centroids.reshape(-1, centroids.shape[2])
    return Targets(scaled, squares.ravel(), squares.amax(1).sqrt(), centroids.double())


def nearest_in_tile(x: torch.Tensor, norms: torch.Tensor, to: Targets) -> torch.Tensor:
    """x float32 [image, dim] and its norms [image] → the nearest cluster of each run, int64
    [image, run]. Ties: the lower cluster."""
    if not x.is_cuda:
        return _on_cores(x, norms, to)
    step = max(16, CELLS // len(to.squares))
    parts = zip(x.split(step), norms.split(step), strict=True)
    return torch.cat([_on_gpu(part, norm, to) for part, norm in parts])


def _on_gpu(x: torch.Tensor, norms: torch.Tensor, to: Targets) -> torch.Tensor:
    runs, k, dim = to.exact.shape
    # |x - c|² less |x|², which is the same for every c
    scores = torch.addmm(to.squares, x, to.scaled.T).view(len(x), runs, k)
    best, cluster = scores.min(2)
    scores.scatter_(2, cluster[..., None], torch.inf)
    gap = scores.amin(2) - best
    doubt = gap <= ROUNDING * dim**0.5 * to.longest * (norms[:, None] + to.longest)
    for run in torch.nonzero(doubt.any(0)).ravel().tolist():
        image = torch.nonzero(doubt[:, run]).ravel()
        cluster[image, run] = _settle(x[image].double(), to.exact[run])
    return cluster


def _on_cores(x: torch.Tensor, norms: torch.Tensor, to: Targets) -> torch.Tensor:
    """Each core takes some rows through all steps by itself: when another program is busy too, far
    less waiting than with all cores at each step. And in numpy, whose products are faster here."""
    workers = torch.get_num_threads()
    step = max(64, min(CORE_ROWS, CORE_CELLS // len(to.squares), -(-len(x) // workers)))
    found = np.empty((len(x), len(to.longest)), np.int64)
    arrays = x.numpy(), norms.numpy(), *(each.numpy() for each in to)

    def part(start: int) -> None:
        here = slice(start, start + step)
        found[here] = _on_core(arrays[0][here], arrays[1][here], *arrays[2:])

    on_cores(part, range(0, len(x), step))
    return torch.from_numpy(found)


def _on_core(
    x: np.ndarray,
    norms: np.ndarray,
    scaled: np.ndarray,
    squares: np.ndarray,
    longest: np.ndarray,
    exact: np.ndarray,
) -> np.ndarray:
    runs, k, dim = exact.shape
    scores = x @ scaled.T
    scores += squares
    scores = scores.reshape(-1, k)
    each = np.arange(len(scores))
    cluster = scores.argmin(1)
    best = scores[each, cluster]
    scores[each, cluster] = np.inf
    gap = (scores.min(1) - best).reshape(-1, runs)
    cluster = cluster.reshape(-1, runs)
    doubt = gap <= ROUNDING * dim**0.5 * longest * (norms[:, None] + longest)
    for run in np.flatnonzero(doubt.any(0)):
        image = torch.from_numpy(x[doubt[:, run]]).double()
        cluster[doubt[:, run], run] = _settle(image, torch.from_numpy(exact[run])).numpy()
    return cluster


def _settle(x: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    squares = centroids.square().sum(1)
    scores = torch.addmm(squares, x, centroids.T, alpha=-2)
    longest = squares.max().sqrt()
    tie = TIE * longest * (x.norm(dim=1, keepdim=True) + longest)
    return (scores <= scores.amin(1, keepdim=True) + tie).byte().argmax(1)
