"""Mini-batch k-means (Sculley 2010, algorithm 1): for data that is too long for many full passes.

After scikit-learn's MiniBatchKMeans. But: k-means++ looks at a drawn sample instead of the first
batch only, every start is judged on all images, and a cluster that won no image in a whole epoch
moves to images drawn by squared distance, instead of being judged after each batch.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from cluster.assign import assign, nearest_in_tile, to_tile
from cluster.kmeans import Fit, best_starts, require_k
from cluster.rows import Rows
from cluster.seeding import start_centroids
from cluster.sums import cluster_sums


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

    All starts of a seed share its batches, of `batch` rows. `progress` is told how many images each
    batch has. Raises ClusterError when k is not in 1..images.
    """
    require_k(k, len(rows))
    ends = []
    for seed in seeds:
        starts = start_centroids(rows, k, [seed], n_init, cosine, init_images, device)
        centroids = torch.as_tensor(starts, device=device)
        generator = np.random.default_rng([seed, n_init])
        ends.append(_epochs(rows, centroids, epochs, batch, cosine, device, generator, progress))
    everything = torch.cat(ends).cpu().numpy()
    final = assign(rows, everything, unit=cosine, device=device)
    return best_starts(everything, final, np.full(len(everything), epochs), len(seeds))


def _epochs(
    rows: Rows,
    centroids: torch.Tensor,
    epochs: int,
    batch: int,
    cosine: bool,
    device: str,
    generator: np.random.Generator,
    progress: Callable[[int], object],
) -> torch.Tensor:
    seen = torch.zeros(centroids.shape[:2], dtype=torch.float64, device=device)
    for epoch in range(epochs):
        before = seen.clone()
        order = generator.permutation(len(rows))
        for low in range(0, len(rows), batch):
            # Rising rows read the disk forwards; within a batch the order does not matter.
            x = to_tile(rows.take(np.sort(order[low : low + batch])), device, cosine)
            centroids, value = _step(x, centroids, seen, cosine)
            progress(len(x))
        if epoch < epochs - 1:
            _revive(x, centroids, value, (seen == before), generator)
    return centroids


def _step(
    x: torch.Tensor, centroids: torch.Tensor, seen: torch.Tensor, cosine: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Move each centroid to the mean of all images it ever won (Sculley's 1/count step); returns
    the centroids and the squared distances [image, run] before the step."""
    runs, k, dim = centroids.shape
    cluster, value = nearest_in_tile(x, centroids, centroids.square().sum(2))
    sums, size = cluster_sums(x, cluster, k)
    sums, count = sums.view(runs, k, dim), size.view(runs, k)
    seen += count
    rate = (1 / seen.clamp(min=1)).float()[..., None]
    centroids = centroids + rate * (sums - count[..., None] * centroids)
    if cosine:
        centroids = torch.nn.functional.normalize(centroids, dim=2)
    return centroids, (value + x.square().sum(1)[:, None]).clamp(min=0)


def _revive(
    x: torch.Tensor,
    centroids: torch.Tensor,
    value: torch.Tensor,
    idle: torch.Tensor,
    generator: np.random.Generator,
) -> None:
    """Put centroids that won nothing on images of the last batch, likelier the further away."""
    for run in torch.nonzero(idle.any(1)).ravel().tolist():
        which = torch.nonzero(idle[run]).ravel()
        weight = value[:, run].double().cpu().numpy()
        if weight.sum() > 0:
            drawn = generator.choice(len(x), len(which), p=weight / weight.sum())
            centroids[run, which] = x[torch.from_numpy(drawn).to(x.device)]
