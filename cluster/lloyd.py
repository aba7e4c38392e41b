"""Lloyd's passes (Lloyd 1982): the engine of every k-means here, many runs in one read of the data.

Images with a label are pinned: they belong to the cluster of that number wherever they lie, and
weigh in its mean like any other (GCD, arXiv:2201.02609, semi-supervised k-means). Without labels
it is k-means.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from cluster.assign import nearest_or_pinned
from cluster.nearest import Targets, targets
from cluster.refill import refill
from cluster.sums import cluster_sums
from cluster.view import View

# Which rows, and those rows [image, dim] → the cluster of each in each run, int64 [image, run].
Choose = Callable[[slice, torch.Tensor], torch.Tensor]


def lloyd(
    view: View,
    starts: np.ndarray,
    max_iter: int,
    tol: float,
    progress: Callable[[int], object],
    label: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Iterate every run of `starts` (float32 [run, cluster, dim]) to its own end; runs that are
    done leave the batch. Returns the centroids, and the iterations of each run, int64 [run].

    label: int64 [image], the cluster that an image is pinned to, -1 where it is free.
    """
    result = view.inside(starts)
    pinned = None if label is None else torch.as_tensor(label, device=result.device)
    iterations = np.full(len(starts), max_iter, np.int64)
    active = np.arange(len(starts))
    assignment = np.full((len(starts), len(view)), -1, np.int32)
    for iteration in range(1, max_iter + 1):
        centroids = result[active]
        choose = partial(_nearest, view.norms, targets(centroids), pinned)
        fresh, moved = step(view, centroids, choose, assignment, active, label)
        travel = (fresh - centroids).square().sum((1, 2), dtype=torch.float64).cpu().numpy()
        result[active] = fresh
        done = (moved == 0) | (travel <= tol * view.variance)
        iterations[active[done]] = iteration
        progress(int(moved.sum()))
        active = active[~done]
        if not len(active):
            break
    return view.outside(result), iterations


def step(
    view: View,
    centroids: torch.Tensor,
    choose: Choose,
    assignment: np.ndarray,
    active: np.ndarray,
    label: np.ndarray | None,
) -> tuple[torch.Tensor, np.ndarray]:
    """One read of the data. Writes the cluster that `choose` gives each image into the `active`
    rows of `assignment` (int32 [all runs, image]); returns the means of the clusters, and how many
    images changed theirs, int64 [run]. An empty cluster moves to an image without a label."""
    runs, k, dim = centroids.shape
    sums = torch.zeros(runs * k, dim, dtype=torch.float64, device=centroids.device)
    counts = torch.zeros(runs * k, dtype=torch.int64, device=centroids.device)
    moved = np.zeros(runs, np.int64)
    for here, x in view.tiles():
        cluster = choose(here, x)
        part, size = cluster_sums(x, cluster, k)
        sums += part
        counts += size
        found = cluster.T.cpu().numpy()
        moved += (assignment[active, here] != found).sum(1)
        assignment[active, here] = found
    sums, counts = sums.view(runs, k, dim), counts.view(runs, k)
    empty = torch.nonzero((counts == 0).any(1)).ravel()
    if len(empty):
        own = assignment[active[empty.cpu().numpy()]]
        refill(view, centroids[empty], own, empty.tolist(), sums, counts, label)
    means = (sums / counts.clamp(min=1)[..., None]).float()
    means = torch.where(counts[..., None] > 0, means, centroids)
    return view.means(means), moved


def _nearest(
    norms: torch.Tensor, to: Targets, pinned: torch.Tensor | None, here: slice, x: torch.Tensor
) -> torch.Tensor:
    return nearest_or_pinned(x, norms[here], to, None if pinned is None else pinned[here])
