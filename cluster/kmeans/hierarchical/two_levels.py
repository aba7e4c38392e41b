"""Two levels of k-means, for tens of thousands of clusters: √k groups, then each group divided.

After the hierarchical k-means trees of Nistér and Stewénius (2006): an iteration compares an image
with √k centroids instead of k. But: a group is divided into as many clusters as its share of the
images says, not into √k, so that clusters are of like size; and one iteration of Lloyd's algorithm
with all k centroids follows, after which each image belongs to the nearest of all, whatever its
group was.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Int64

from cluster.kmeans.api import Fit, empty_fit, kmeans, require_k
from cluster.kmeans.assign import assign
from cluster.vectors.rows import Rows, Subset, cached

GROUP_GB = 0.5  # a group of at most so much is copied to memory while it is divided


def hierarchical_kmeans(
    rows: Rows,
    k: int,
    *,
    seeds: Sequence[int],
    n_init: int,
    max_iter: int,
    tol: float,
    cosine: bool = False,
    init_images: int = 100_000,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> Fit:
    """As cluster.kmeans.api.kmeans, by two levels: n_init, max_iter, tol and init_images are those
    of the k-means of the groups and of each division.

    progress is called with a number of images, in all twice the images for each seed. Raises
    ClusterError when k is not in 1..images.
    """
    require_k(k, len(rows))
    best = empty_fit(len(seeds), k, rows.dim)
    for at, seed in enumerate(seeds):
        starts = two_level_centroids(
            rows, k, seed=seed, n_init=n_init, max_iter=max_iter, tol=tol, cosine=cosine,
            init_images=init_images, device=device, progress=progress,
        )  # fmt: skip
        fit = kmeans(
            rows, k, seeds=[seed], n_init=1, max_iter=1, tol=0, cosine=cosine,
            starts=starts[None], device=device,
        )  # fmt: skip
        for all_seeds, own in zip(best, fit, strict=True):
            all_seeds[at] = own[0]
        progress(len(rows))
    return best


def two_level_centroids(
    rows: Rows,
    k: int,
    *,
    seed: int,
    n_init: int,
    max_iter: int,
    tol: float,
    cosine: bool = False,
    init_images: int = 100_000,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> Float32[np.ndarray, "k dim"]:
    """The centroids of the divided groups, group after group. progress: called with the images of
    each group that is done."""

    def fitted(some: Rows, number: int) -> np.ndarray:
        return kmeans(
            some, number, seeds=[seed], n_init=n_init, max_iter=max_iter, tol=tol, cosine=cosine,
            init_images=init_images, device=device,
        ).centroids[0]  # fmt: skip

    groups = fitted(rows, max(1, round(k**0.5)))
    own = assign(rows, groups[None], unit=cosine, device=device).assignment[0]
    size = np.bincount(own, minlength=len(groups))
    order = np.argsort(own, kind="stable")
    out = []
    for stop, images, number in zip(
        np.cumsum(size).tolist(), size.tolist(), divisions(size, k).tolist(), strict=True
    ):
        if number:
            members = Subset(rows, order[stop - images : stop])
            out.append(fitted(cached(members, GROUP_GB), number))
        progress(images)
    return np.concatenate(out)


def divisions(size: Int64[np.ndarray, " group"], k: int) -> Int64[np.ndarray, " group"]:
    """Into how many clusters each group is divided: k in all, in proportion to its images `size`
    (largest remainders first, ties: the lower number), but one at least and no more than images;
    0 of an empty group. k: from as many as there are groups to all images."""
    exact = k * size / size.sum()
    number = np.clip(np.floor(exact).astype(np.int64), size > 0, size)
    while lacking := k - int(number.sum()):
        step = 1 if lacking > 0 else -1
        can = number < size if step > 0 else number > 1
        order = np.argsort(np.where(can, -step * (exact - number), np.inf), kind="stable")
        number[order[: min(abs(lacking), int(can.sum()))]] += step
    return number
