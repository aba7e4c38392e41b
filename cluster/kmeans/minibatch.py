"""Mini-batch k-means (Sculley 2010, algorithm 1): for data that is too large for many full passes.

After scikit-learn's MiniBatchKMeans. But: k-means++ uses a random sample instead of the first batch
only, every start is evaluated on all images, and a cluster that won no image in a whole epoch
is moved to an image drawn by squared distance, instead of being checked after each batch.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64

from cluster.kernels.cluster_sums import cluster_sums
from cluster.kmeans.api import Fit, empty_fit, evaluate_and_update_best, require_k
from cluster.kmeans.init import start_centroids
from cluster.kmeans.nearest import nearest_in_tile, prepare_centroids
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
    is called after each batch with its number of images. Raises ClusterError when k is not in
    1..images.
    """
    require_k(k, len(rows))
    best = empty_fit(len(seeds), k, rows.dim)
    for at, seed in enumerate(seeds):
        runs = [(seed, start) for start in range(n_init)]
        starts = start_centroids(rows, k, runs, cosine, init_images, device)
        generator = np.random.default_rng([seed, n_init])
        centroids = _epochs(rows, starts, epochs, batch, cosine, device, generator, progress)
        iterations = np.full(n_init, epochs)
        evaluate_and_update_best(best, [at] * n_init, rows, centroids, iterations, cosine, device)
    return best


def _epochs(
    rows: Rows,
    starts: Float32[np.ndarray, "run cluster dim"],
    epochs: int,
    batch: int,
    cosine: bool,
    device: str,
    generator: np.random.Generator,
    progress: Callable[[int], object],
) -> Float32[np.ndarray, "run cluster dim"]:
    centroids = torch.as_tensor(starts, device=device)
    # Numbers near 0 keep their digits; the cosine metric needs the origin where it is
    shift = centroids.mean((0, 1)) * (not cosine)
    centroids = centroids - shift
    seen = torch.zeros(centroids.shape[:2], dtype=torch.float64, device=device)
    for epoch in range(epochs):
        before = seen.clone()
        order = generator.permutation(len(rows))
        for drawn in np.array_split(order, -(-len(rows) // batch)):
            # Sorted rows read the disk forwards; the order within a batch has no influence
            x = to_tile(rows.take(np.sort(drawn)), device, cosine) - shift
            centroids = _step(x, centroids, seen, cosine)
            progress(len(x))
        if epoch < epochs - 1:
            _reassign_idle(x, centroids, seen, seen == before, generator)
    return (centroids + shift).cpu().numpy()


def _step(
    x: Float32[torch.Tensor, "image dim"],
    centroids: Float32[torch.Tensor, "run cluster dim"],
    seen: Float64[torch.Tensor, "run cluster"],
    cosine: bool,
) -> Float32[torch.Tensor, "run cluster dim"]:
    """Move each centroid to the mean of all images it ever won (Sculley's 1/count step); adds
    those of the batch to `seen`."""
    runs, k, dim = centroids.shape
    cluster = nearest_in_tile(x, x.norm(dim=1), prepare_centroids(centroids))
    sums, size = cluster_sums(x, cluster, k)
    sums, count = sums.float().view(runs, k, dim), size.view(runs, k)
    seen += count
    rate = (1 / seen.clamp(min=1)).float()[..., None]
    centroids = centroids + rate * (sums - count[..., None] * centroids)
    return torch.nn.functional.normalize(centroids, dim=2) if cosine else centroids


def _reassign_idle(
    x: Float32[torch.Tensor, "image dim"],
    centroids: Float32[torch.Tensor, "run cluster dim"],
    seen: Float64[torch.Tensor, "run cluster"],
    idle: Bool[torch.Tensor, "run cluster"],
    generator: np.random.Generator,
) -> None:
    """Move idle centroids, which won no image, to distinct images of the last batch, drawn with
    probability proportional to the squared distance, and reset their counts; in place."""
    for run in torch.nonzero(idle.any(1)).ravel().tolist():
        own = centroids[run : run + 1]
        cluster = nearest_in_tile(x, x.norm(dim=1), prepare_centroids(own))[:, 0]
        weight = (x - own[0, cluster]).square().sum(1, dtype=torch.float64).cpu().numpy()
        which = torch.nonzero(idle[run]).ravel()[: np.count_nonzero(weight)]
        if len(which):
            p = weight / weight.sum()
            drawn = generator.choice(len(x), len(which), replace=False, p=p)
            centroids[run, which] = x[torch.from_numpy(drawn).to(x.device)]
            seen[run, which] = 0
