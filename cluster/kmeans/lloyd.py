"""Lloyd's algorithm (Lloyd 1982): the iterations of every k-means here, many runs in one read.

An engine maps each step over chunks of the data (chunk.py); their small results are added here in
the order of the chunks, so that sums are the same on one machine or many. Images with a label are
pinned: they belong to the cluster of that number wherever they lie, and count in its mean like any
other (GCD, arXiv:2201.02609, semi-supervised k-means). Without labels this is k-means.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from cluster.kmeans.chunk import ChunkState
from cluster.kmeans.chunk_messages import StepInput
from cluster.kmeans.empty_clusters import relocate_empty_clusters
from cluster.kmeans.engine import Engine

ROUNDED_UP = 1 + 2.0**-20  # more than float32 rounds by
INERTIA_ERROR = 1e-5  # of an inertia computed from sums, as a share of the sum of |x|²


class LloydResult(NamedTuple):
    """The end of each run. inertia: computed from cluster sums, off by at most inertia_error."""

    centroids: Float32[torch.Tensor, "run cluster dim"]
    iterations: Int64[np.ndarray, " run"]
    inertia: Float64[np.ndarray, " run"]
    inertia_error: float


def lloyd(
    engine: Engine,
    starts: Float32[np.ndarray, "run cluster dim"],
    max_iter: int,
    tol: float,
    progress: Callable[[int], object],
) -> LloydResult:
    """Iterate every run of `starts` until it converges; converged runs leave the batch. The
    centroids are in the coordinates of the engine, whose images are assigned by them in the end."""
    squares, variance = _moments(engine)
    state = _State(engine, starts)
    iterations = np.full(len(starts), max_iter, np.int64)
    active, settled = np.arange(len(starts)), np.zeros(len(starts), bool)
    for iteration in range(1, max_iter + 1):
        moved = state.assign(active)
        squared_shift = state.update(active)
        # Relocating an empty cluster moves a centroid, though no image moved
        still = (moved == 0) & (squared_shift == 0)
        done = still | (squared_shift <= tol * variance)
        iterations[active[done]] = iteration
        settled[active[still]] = True
        progress(int(moved.sum()))
        active = active[~done]
        if not len(active):
            break
    left = np.flatnonzero(~settled)
    if len(left):
        state.assign(left)
    inertia = squares + state.inertia_less_squares()
    return LloydResult(state.centroids, iterations, inertia, INERTIA_ERROR * squares)


def exact_inertia(
    engine: Engine,
    runs: Int64[np.ndarray, " run"],
    centroids: Float32[torch.Tensor, "run cluster dim"],
) -> Float64[np.ndarray, " run"]:
    """The sum of squared distances of the images to their centroids, for some runs of the
    engine."""
    total = np.zeros(len(runs))
    for own in engine.map(ChunkState.inertia, torch.from_numpy(runs), centroids):
        total += own.cpu().numpy()
    return total


def means_of(
    engine: Engine,
    run: int,
    old: Float32[torch.Tensor, "cluster dim"],
    sums: Float64[torch.Tensor, "cluster dim"],
    counts: Int64[torch.Tensor, " cluster"],
) -> Float32[torch.Tensor, "cluster dim"]:
    """The new centroids of a run whose images were assigned by `old`. Empty clusters are
    relocated."""
    if not bool((counts > 0).all()):
        # On copies: the image itself changes its cluster in the next step only
        sums, counts = sums.clone(), counts.clone()
        relocate_empty_clusters(engine, run, old, sums, counts)
    means = (sums / counts.clamp(min=1)[:, None]).float()
    means = torch.where(counts[:, None] > 0, means, old)
    return engine.centering.to_centroids(means[None])[0]


def _moments(engine: Engine) -> tuple[float, float]:
    """The sum of |x|² of all images, and the mean variance of the dims."""
    squares, total = 0.0, torch.zeros(())
    for own, sums in engine.map(ChunkState.moments):
        squares, total = squares + own, total + sums.cpu()
    spread = squares / engine.n - float((total / engine.n).square().sum())
    return squares, max(0.0, spread / len(total))


class _State:
    """Centroids and cluster sums of all runs, on the device of the engine."""

    def __init__(self, engine: Engine, starts: Float32[np.ndarray, "run cluster dim"]) -> None:
        runs, k, dim = starts.shape
        self._engine = engine
        self.centroids = engine.centering.transform(starts, engine.device)
        self._before: torch.Tensor | None = None
        self._shift = torch.zeros(runs, k, device=engine.device)
        self._sums = torch.zeros(runs * k, dim, dtype=torch.float64, device=engine.device)
        self._counts = torch.zeros(runs * k, dtype=torch.int64, device=engine.device)

    def assign(self, active: Int64[np.ndarray, " active"]) -> Int64[np.ndarray, " active"]:
        """The assignment step, one read of the data: each image gets its nearest centroid. How many
        images changed their cluster."""
        runs, moved = torch.from_numpy(active), np.zeros(len(active), np.int64)
        before = shift = None
        if self._before is not None:
            before, shift = self._before[runs], self._shift[runs]
        step = StepInput(runs, self.centroids[runs], before, shift)
        for result in self._engine.map(ChunkState.step, step):
            group, sums, size = (each.to(self._sums.device) for each in result.sums)
            self._sums[group] += sums
            self._counts[group] += size
            moved += result.moved.cpu().numpy()
        return moved

    def update(self, active: Int64[np.ndarray, " active"]) -> Float64[np.ndarray, " active"]:
        """The update step: each centroid moves to the mean of its images. The sum of the squared
        shifts of each run's centroids."""
        if self._before is None:
            self._before = self.centroids.clone()
        squared_shift = np.zeros(len(active))
        k = self._shift.shape[1]
        for at, run in enumerate(active.tolist()):
            here = slice(run * k, (run + 1) * k)
            old = self.centroids[run].clone()
            means = means_of(self._engine, run, old, self._sums[here], self._counts[here])
            squares = (means.double() - old.double()).square_().sum(1)
            squared_shift[at] = float(squares.sum())
            self._shift[run] = squares.sqrt().mul_(ROUNDED_UP)
            self._before[run], self.centroids[run] = old, means
        return squared_shift

    def inertia_less_squares(self) -> Float64[np.ndarray, " run"]:
        """Inertia less the sum of |x|²: the sum over clusters of n|c|² - 2 c·Σx."""
        runs, k = self._shift.shape
        found = np.zeros(runs)
        for run in range(runs):
            here, c = slice(run * k, (run + 1) * k), self.centroids[run].double()
            whole = (c.square().sum(1) * self._counts[here]).sum()
            found[run] = float(whole - 2 * (c * self._sums[here]).sum())
        return found
