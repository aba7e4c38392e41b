"""Semi-supervised k-means: some images have the class they are known to be, the others are free.

After GCD (Vaze et al., arXiv:2201.02609, section 3.3). Cluster c < old is known class c: it starts
at the mean of its labelled images, which stay in it wherever they lie. The other centroids start by
k-means++ among the unlabelled images, given those means. Free images go to the nearest centroid,
and every centroid to the mean of all its images.
But: the engine of k-means, which has all its properties. There, a run ends when the squared sum of
the centroids' moves is below 1e-4, here as scikit-learn's; the answer lists the labelled images
first, here images keep their order; k-means++ is not greedy; an empty cluster has a centroid of
nan, here it moves to the furthest unlabelled image; distances are made of [image, cluster, dim]
differences, here of products of matrices. `balance.py` is the variant of SelEx.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from cluster.errors import ClusterError
from cluster.kernels.cluster_sums import cluster_sums
from cluster.kmeans.api import Fit, keep, lowest, no_fit, require_k, together
from cluster.kmeans.balanced import balanced, require_size
from cluster.kmeans.centering import frame_of
from cluster.kmeans.data import View
from cluster.kmeans.engine import local_parts
from cluster.kmeans.init import Run, start_centroids
from cluster.kmeans.lloyd import lloyd
from cluster.vectors.rows import TILE, Rows, Subset


def sskmeans(
    rows: Rows,
    label: np.ndarray,
    k: int,
    *,
    seeds: Sequence[int],
    n_init: int,
    max_iter: int,
    tol: float,
    cluster_size: int | None = None,
    init_images: int = 100_000,
    starts: np.ndarray | None = None,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda moved: None,
) -> Fit:
    """Cluster `rows` ([image, dim]) into `k`, the known classes among them, once a seed.

    label: int64 [image], known class 0..old-1, -1 where none is known. `cluster_size`: images that
    a cluster is to have at most while the balanced passes last (balance.even_size), None: without
    them. All else is as in kmeans; inertia is that of labelled images in their own class and the
    others in the nearest cluster. `assign(rows, centroids, label=label)` says who that is.

    Raises ClusterError when k is below the number of known classes or beyond what the images allow,
    labels have a gap or are of other images, no image is unlabelled, or sizes or starts do not fit.
    """
    old = require_label(label, len(rows), k)
    require_size(cluster_size, len(rows), k)
    view, best = View(rows, frame_of(rows, False), device), no_fit(len(seeds), k, rows.dim)
    free = Subset(rows, np.flatnonzero(label < 0))
    means = known_means(view, label, old, rows.dim)

    def draw(runs: Sequence[Run]) -> np.ndarray:
        given = np.broadcast_to(means, (len(runs), *means.shape))
        if k == old:
            return given
        beside = means if old else None
        new = start_centroids(free, k - old, runs, False, init_images, device, beside)
        return np.concatenate([given, new], axis=1)

    for seed_of, begin in together(seeds, n_init, k, (len(rows), rows.dim), draw, starts):
        even = None
        if cluster_size is not None:
            begin, even = balanced(view, begin, label, old, cluster_size, progress)
        parts = local_parts(view, len(begin), label)
        ends = lloyd(parts, begin, max_iter, tol, progress)
        seeds_of, centroids, inertia, iterations = lowest(parts, ends, seed_of)
        keep(best, seeds_of, centroids, inertia, iterations + (even.passes if even else 0))
        if even:  # the last pass is a plain one, so that these are seldom lower
            keep(best, seed_of, even.centroids, even.inertia, even.iterations)
    return best


def require_label(label: np.ndarray, n: int, k: int) -> int:
    """The number of known classes; refuses labels and a k that do not go together."""
    require_k(k, n)
    if len(label) != n or label.min() < -1:
        raise ClusterError(
            f"labels are of {len(label)} images, from {label.min(initial=0)} on: one for each of "
            f"{n} images is needed, the class or -1"
        )
    size = np.bincount(label[label >= 0])
    old, free = len(size), n - int(size.sum())
    if not size.all():
        raise ClusterError(
            f"known class {int(size.argmin())} of {old} has no labelled image: label one, or leave "
            "its number to the next class"
        )
    if not free:
        raise ClusterError(f"all {n} images are labelled: nothing is left to cluster")
    if k < old:
        raise ClusterError(f"k is {k}, but {old} classes are known: choose k from {old} on")
    if k - old > free:
        raise ClusterError(
            f"k is {k}, {old} classes are known and {free} images unlabelled: choose k from {old} "
            f"to {old + free}"
        )
    return old


def known_means(view: View, label: np.ndarray, old: int, dim: int) -> np.ndarray:
    """The mean of the labelled images of each known class, float32 [known class, dim]."""
    labelled = np.flatnonzero(label >= 0)
    sums, size = np.zeros((old, dim)), np.bincount(label[labelled], minlength=old)
    for start in range(0, len(labelled), TILE):
        part = labelled[start : start + TILE]
        x = view.take(part)
        own = torch.from_numpy(label[part][:, None]).to(x.device)
        sums += cluster_sums(x, own, old)[0].cpu().numpy()
    means = torch.from_numpy(sums / size[:, None]).float()
    return view.frame.outside(means.to(view.device))
