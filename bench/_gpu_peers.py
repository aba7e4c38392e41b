"""k-means as others have it: plain torch, faiss and flash-kmeans, from given centroids.

Each is a function of x (float32 [image, dim], on the device), starts (float32 [run, cluster, dim])
and a number of passes; it returns centroids, [run, cluster, dim]. What is not installed raises
ImportError.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from bench._gpu_vectors import CELLS
from cluster.kernels.low_precision import MatmulPrecision, fast_precision, full_precision

Peer = Callable[[torch.Tensor, np.ndarray, int], torch.Tensor]


def peers(device: str) -> dict[str, Peer]:
    return {
        "plain torch, fast": partial(plain, fast_precision(device)),
        "plain torch, float32": partial(plain, full_precision(device)),
        "faiss, with its upload": faiss,
        "flash-kmeans, float16": partial(flash, torch.float16),
        "flash-kmeans, float32": partial(flash, torch.float32),
    }


def plain(way: MatmulPrecision, x: torch.Tensor, starts: np.ndarray, passes: int) -> torch.Tensor:
    """One run after the other, each pass as one writes it down."""
    found = list(torch.from_numpy(starts).to(x.device))
    with way.applied():
        for _ in range(passes):
            found = [_plain_pass(x, c) for c in found]
    return torch.stack(found)


def faiss(x: torch.Tensor, starts: np.ndarray, passes: int) -> torch.Tensor:
    """One run after the other, of vectors in RAM."""
    import faiss

    if x.is_cuda and not faiss.get_num_gpus():
        raise ImportError("this faiss was built without GPUs: install faiss-gpu")
    found, vectors = [], x.cpu().numpy()
    for start in starts:
        of = faiss.Kmeans(
            x.shape[1], len(start), niter=passes, gpu=x.is_cuda, seed=1,
            min_points_per_centroid=1, max_points_per_centroid=len(x),
        )  # fmt: skip
        of.train(vectors, init_centroids=start)
        found.append(torch.from_numpy(of.centroids))
    return torch.stack(found)


def flash(dtype: torch.dtype, x: torch.Tensor, starts: np.ndarray, passes: int) -> torch.Tensor:
    """All runs in one batch, each with vectors of its own."""
    from flash_kmeans import batch_kmeans_Euclid

    each = x.to(dtype).expand(len(starts), *x.shape).contiguous()
    start = torch.from_numpy(starts).to(x.device, dtype)
    k = starts.shape[1]
    return batch_kmeans_Euclid(each, k, max_iters=passes, tol=0.0, init_centroids=start)[1]


def _plain_pass(x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    total, size = torch.zeros_like(c), torch.zeros(len(c), device=c.device)
    squares = c.square().sum(1)
    for part in x.split(max(1, CELLS // len(c))):
        nearest = torch.addmm(squares, part, c.T, alpha=-2).argmin(1)
        total.index_add_(0, nearest, part)
        size += torch.bincount(nearest, minlength=len(c))
    return torch.where(size[:, None] > 0, total / size.clamp(min=1)[:, None], c)
