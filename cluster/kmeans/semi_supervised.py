"""Semi-supervised k-means: labelled images are pinned to their class's cluster, others are free.

After GCD (Vaze et al., arXiv:2201.02609, section 3.3). Cluster c < old is known class c: it starts
at the mean of its labelled images, which stay in it wherever they lie. The other centroids start by
k-means++ among the unlabelled images, given those means. Free images go to the nearest centroid,
and every centroid to the mean of all its images.
But: it runs on the engine of k-means, with all its properties. The original ends a run when the
squared sum of the centroids' shifts is below 1e-4, here it ends as in scikit-learn; its answer
lists the labelled images first, here images keep their order; its k-means++ is not greedy; its
empty clusters get a centroid of nan, here they are relocated to the furthest unlabelled image; its
distances need [image, cluster, dim] differences, here they are matrix products. `balanced.py` is
the variant of SelEx.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int

from cluster.errors import ClusterError
from cluster.kernels.cluster_sums import cluster_sums
from cluster.kmeans.api import Fit, batch_runs, best_per_seed, empty_fit, require_k, update_best
from cluster.kmeans.balanced import balanced_passes, require_size
from cluster.kmeans.centering import fit_centering
from cluster.kmeans.data import Data
from cluster.kmeans.engine import local_engine
from cluster.kmeans.init import Run, start_centroids
from cluster.kmeans.lloyd import lloyd
from cluster.vectors.rows import TILE, Rows, Subset


def sskmeans(
    rows: Rows,
    label: Int[np.ndarray, " image"],
    k: int,
    *,
    seeds: Sequence[int],
    n_init: int,
    max_iter: int,
    tol: float,
    cluster_size: int | None = None,
    init_images: int = 100_000,
    starts: Float32[np.ndarray, "run cluster dim"] | None = None,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda moved: None,
) -> Fit:
    """Cluster `rows` ([image, dim]) into `k`, the known classes among them, once per seed.

    label: the known class 0..old-1, -1 where it is unknown. `cluster_size`: the largest cluster
    during the balanced passes (balanced.even_size), None: no balanced passes. All else is as in
    kmeans; inertia is that of labelled images in their own class and the others in the nearest
    cluster, as `assign(rows, centroids, label=label)` assigns them.

    Raises ClusterError when k is below the number of known classes or too large for the images,
    labels skip a class or do not match the images, no image is unlabelled, or sizes or starts do
    not fit.
    """
    old = require_label(label, len(rows), k)
    require_size(cluster_size, len(rows), k)
    data, best = Data(rows, fit_centering(rows, False), device), empty_fit(len(seeds), k, rows.dim)
    free = Subset(rows, np.flatnonzero(label < 0))
    means = known_means(data, label, old, rows.dim)

    def draw(runs: Sequence[Run]) -> np.ndarray:
        known = np.broadcast_to(means, (len(runs), *means.shape))
        if k == old:
            return known
        fixed = means if old else None
        new = start_centroids(free, k - old, runs, False, init_images, device, fixed)
        return np.concatenate([known, new], axis=1)

    for seed_of, begin in batch_runs(seeds, n_init, k, (len(rows), rows.dim), draw, starts):
        even = None
        if cluster_size is not None:
            begin, even = balanced_passes(data, begin, label, old, cluster_size, progress)
        engine = local_engine(data, len(begin), label)
        result = lloyd(engine, begin, max_iter, tol, progress)
        seeds_of, centroids, inertia, iterations = best_per_seed(engine, result, seed_of)
        passes = even.passes if even else 0
        update_best(best, seeds_of, centroids, inertia, iterations + passes)
        if even:  # rarely lower, since Lloyd's iterations started from the last of these passes
            update_best(best, seed_of, even.centroids, even.inertia, even.iterations)
    return best


def require_label(label: Int[np.ndarray, " image"], n: int, k: int) -> int:
    """The number of known classes. Raises ClusterError if labels do not fit n images or k."""
    require_k(k, n)
    if len(label) != n or label.min() < -1:
        raise ClusterError(
            f"{len(label)} labels from {label.min(initial=0)} on were given: expected one for each "
            f"of {n} images, the class or -1"
        )
    size = np.bincount(label[label >= 0])
    old, free = len(size), n - int(size.sum())
    if not size.all():
        raise ClusterError(
            f"known class {int(size.argmin())} of {old} has no labelled image: label one, or give "
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


def known_means(
    data: Data, label: Int[np.ndarray, " image"], old: int, dim: int
) -> Float32[np.ndarray, "known dim"]:
    """The mean of the labelled images of each known class."""
    labelled = np.flatnonzero(label >= 0)
    sums, size = np.zeros((old, dim)), np.bincount(label[labelled], minlength=old)
    for start in range(0, len(labelled), TILE):
        some = labelled[start : start + TILE]
        x = data.take(some)
        own = torch.from_numpy(label[some][:, None]).to(x.device)
        sums += cluster_sums(x, own, old)[0].cpu().numpy()
    means = torch.from_numpy(sums / size[:, None]).float()
    return data.centering.inverse_transform(means[None].to(data.device))[0]
