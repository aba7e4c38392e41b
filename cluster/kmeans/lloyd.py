"""Lloyd's passes (Lloyd 1982): the engine of every k-means here, many runs in one read of the data.

The data lie in parts (part.py), which an engine maps and whose small results are added here in
their order: one machine or many, the sums are the same. Images with a label are pinned: they belong
to the cluster of that number wherever they lie, and weigh in its mean like any other (GCD,
arXiv:2201.02609, semi-supervised k-means). Without labels it is k-means.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from cluster.kmeans.chunk import Part, Pass
from cluster.kmeans.empty_clusters import refill
from cluster.kmeans.engine import Parts

ROUNDED_UP = 1 + 2.0**-20  # more than float32 rounds by
OFF = 1e-5  # of the squared lengths of all images: how far an inertia that comes of sums can be off


class Ends(NamedTuple):
    """Where runs came to. centroids: float32 [run, cluster, dim]; iterations: int64 [run]; inertia:
    float64 [run]; off: by how much that can be off."""

    centroids: torch.Tensor
    iterations: np.ndarray
    inertia: np.ndarray
    off: float


def lloyd(
    parts: Parts,
    starts: np.ndarray,
    max_iter: int,
    tol: float,
    progress: Callable[[int], object],
) -> Ends:
    """Iterate every run of `starts` (float32 [run, cluster, dim]) to its own end; runs that are
    done leave the batch. The centroids lie in the frame of the parts, whose images then are in the
    clusters of the end."""
    squares, variance = _moments(parts)
    state = _State(parts, starts)
    iterations = np.full(len(starts), max_iter, np.int64)
    active, settled = np.arange(len(starts)), np.zeros(len(starts), bool)
    for iteration in range(1, max_iter + 1):
        moved = state.choose(active)
        travel = state.move(active)
        still = (moved == 0) & (travel == 0)  # a refill moves a centroid, though no image moved
        done = still | (travel <= tol * variance)
        iterations[active[done]] = iteration
        settled[active[still]] = True
        progress(int(moved.sum()))
        active = active[~done]
        if not len(active):
            break
    left = np.flatnonzero(~settled)
    if len(left):
        state.choose(left)
    return Ends(state.centroids, iterations, squares + state.less(), OFF * squares)


def exact_inertia(parts: Parts, runs: np.ndarray, centroids: torch.Tensor) -> np.ndarray:
    """The sum of squared distances of the images to their centroids, float64 [run], for some runs
    of the parts and their centroids [run, cluster, dim]."""
    total = np.zeros(len(runs))
    for part in parts.map(Part.inertia, torch.from_numpy(runs), centroids):
        total += part.cpu().numpy()
    return total


def means_of(
    parts: Parts, run: int, old: torch.Tensor, sums: torch.Tensor, counts: torch.Tensor
) -> torch.Tensor:
    """The centroids of a run, float32 [cluster, dim], whose images were assigned by `old` ones.

    sums: float64 [cluster, dim]; counts: int64 [cluster]. An empty cluster moves to an image.
    """
    if not bool((counts > 0).all()):
        # Only for these means: the image itself goes there in the next pass
        sums, counts = sums.clone(), counts.clone()
        refill(parts, run, old, sums, counts)
    means = (sums / counts.clamp(min=1)[:, None]).float()
    means = torch.where(counts[:, None] > 0, means, old)
    return parts.frame.means(means[None])[0]


def _moments(parts: Parts) -> tuple[float, float]:
    """The sum of |x|² of all images, and the mean variance of the dims."""
    squares, total = 0.0, torch.zeros(())
    for own, sums in parts.map(Part.moments):
        squares, total = squares + own, total + sums.cpu()
    spread = squares / parts.n - float((total / parts.n).square().sum())
    return squares, max(0.0, spread / len(total))


class _State:
    """Centroids and sums of all runs; on the device of the engine."""

    def __init__(self, parts: Parts, starts: np.ndarray) -> None:
        runs, k, dim = starts.shape
        self._parts = parts
        self.centroids = parts.frame.inside(starts, parts.device)
        self._before: torch.Tensor | None = None
        self._way = torch.zeros(runs, k, device=parts.device)
        self._sums = torch.zeros(runs * k, dim, dtype=torch.float64, device=parts.device)
        self._counts = torch.zeros(runs * k, dtype=torch.int64, device=parts.device)

    def choose(self, active: np.ndarray) -> np.ndarray:
        """One read of the data: each image goes to its nearest centroid. How many images moved,
        int64 [active]."""
        runs, moved = torch.from_numpy(active), np.zeros(len(active), np.int64)
        before = way = None
        if self._before is not None:
            before, way = self._before[runs], self._way[runs]
        for change in self._parts.map(Part.step, Pass(runs, self.centroids[runs], before, way)):
            group, sums, size = (each.to(self._sums.device) for each in change.sums)
            self._sums[group] += sums
            self._counts[group] += size
            moved += change.moved.cpu().numpy()
        return moved

    def move(self, active: np.ndarray) -> np.ndarray:
        """Each centroid goes to the mean of its images. The squared way that the centroids of each
        run went, float64 [active]."""
        if self._before is None:
            self._before = self.centroids.clone()
        travel = np.zeros(len(active))
        k = self._way.shape[1]
        for at, run in enumerate(active.tolist()):
            here = slice(run * k, (run + 1) * k)
            old = self.centroids[run].clone()
            means = means_of(self._parts, run, old, self._sums[here], self._counts[here])
            way = (means.double() - old.double()).square_().sum(1)
            travel[at] = float(way.sum())
            self._way[run] = way.sqrt().mul_(ROUNDED_UP)
            self._before[run], self.centroids[run] = old, means
        return travel

    def less(self) -> np.ndarray:
        """Inertia less the sum of |x|²: n|c|² - 2 c·Σx of each cluster, float64 [run]."""
        runs, k = self._way.shape
        found = np.zeros(runs)
        for run in range(runs):
            here, c = slice(run * k, (run + 1) * k), self.centroids[run].double()
            whole = (c.square().sum(1) * self._counts[here]).sum()
            found[run] = float(whole - 2 * (c * self._sums[here]).sum())
        return found
