"""Mini-batch k-means (Sculley 2010, algorithm 1): for data that is too long for many full passes.

After scikit-learn's MiniBatchKMeans. But: k-means++ looks at a drawn sample instead of the first
batch only, every start is judged on all images, and a cluster that won no image in a whole epoch
moves to an image drawn by squared distance, instead of being judged after each batch.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from cluster.kernels.cluster_sums import cluster_sums
from cluster.kmeans.api import Fit, keep_best, no_fit, require_k
from cluster.kmeans.init import start_centroids
from cluster.kmeans.nearest import nearest_in_tile, targets
from cluster.vectors.rows import Rows
from cluster.vectors.tiles import to_tile


def minibatch_kmeans(
    rows: Rows,
    k: int,
    *,
    seeds: Sequence[int],
    n_init: int,
    epochs: int,
    batch: int,
    cosine: bool = False,
    init_images: int = 100_000,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> Fit:
    """Cluster `rows` ([image, dim]) into `k` in `epochs` passes of shuffled batches.

    All starts of a seed share its batches, of about equal size and at most `batch` rows. `progress`
    is told how many images each batch has. Raises ClusterError when k is not in 1..images.
    """
    require_k(k, len(rows))
    best = no_fit(len(seeds), k, rows.dim)
    for at, seed in enumerate(seeds):
        runs = [(seed, start) for start in range(n_init)]
        starts = start_centroids(rows, k, runs, cosine, init_images, device)
        generator = np.random.default_rng([seed, n_init])
        ends = _epochs(rows, starts, epochs, batch, cosine, device, generator, progress)
        keep_best(best, [at] * n_init, rows, ends, np.full(n_init, epochs), cosine, device)
    return best


def _epochs(
    rows: Rows,
    starts: np.ndarray,
    epochs: int,
    batch: int,
    cosine: bool,
    device: str,
    generator: np.random.Generator,
    progress: Callable[[int], object],
) -> np.ndarray:
    centroids = torch.as_tensor(starts, device=device)
    # Numbers near 0 keep their digits; the cosine metric needs the origin where it is.
    shift = centroids.mean((0, 1)) * (not cosine)
    centroids = centroids - shift
    seen = torch.zeros(centroids.shape[:2], dtype=torch.float64, device=device)
    for epoch in range(epochs):
        before = seen.clone()
        order = generator.permutation(len(rows))
        for drawn in np.array_split(order, -(-len(rows) // batch)):
            # Rising rows read the disk forwards; within a batch the order does not matter.
            x = to_tile(rows.take(np.sort(drawn)), device, cosine) - shift
            centroids = _step(x, centroids, seen, cosine)
            progress(len(x))
        if epoch < epochs - 1:
            _revive(x, centroids, seen, seen == before, generator)
    return (centroids + shift).cpu().numpy()


def _step(
    x: torch.Tensor, centroids: torch.Tensor, seen: torch.Tensor, cosine: bool
) -> torch.Tensor:
    """Move each centroid to the mean of all images it ever won (Sculley's 1/count step)."""
    runs, k, dim = centroids.shape
    cluster = nearest_in_tile(x, x.norm(dim=1), targets(centroids))
    sums, size = cluster_sums(x, cluster, k)
    sums, count = sums.float().view(runs, k, dim), size.view(runs, k)
    seen += count
    rate = (1 / seen.clamp(min=1)).float()[..., None]
    centroids = centroids + rate * (sums - count[..., None] * centroids)
    return torch.nn.functional.normalize(centroids, dim=2) if cosine else centroids


def _revive(
    x: torch.Tensor,
    centroids: torch.Tensor,
    seen: torch.Tensor,
    idle: torch.Tensor,
    generator: np.random.Generator,
) -> None:
    """Put centroids that won nothing on images of the last batch, likelier the further away, each
    on another one, and let them forget what they won before."""
    for run in torch.nonzero(idle.any(1)).ravel().tolist():
        own = centroids[run : run + 1]
        cluster = nearest_in_tile(x, x.norm(dim=1), targets(own))[:, 0]
        weight = (x - own[0, cluster]).square().sum(1, dtype=torch.float64).cpu().numpy()
        which = torch.nonzero(idle[run]).ravel()[: np.count_nonzero(weight)]
        if len(which):
            p = weight / weight.sum()
            drawn = generator.choice(len(x), len(which), replace=False, p=p)
            centroids[run, which] = x[torch.from_numpy(drawn).to(x.device)]
            seen[run, which] = 0
