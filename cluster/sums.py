"""The sum of the vectors of each cluster: the half of k-means that is not a matrix product."""

import numpy as np
import torch


def cluster_sums(
    x: torch.Tensor, cluster: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of x [image, dim] over each cluster of each run, float32 [run x cluster, dim], and the
    sizes, int64; `cluster` is int64 [image, run].

    Sorted, then summed bag by bag: several times faster than scattering or a product with one-hot
    rows, and in one order, so that the sums are the same at any thread count.
    """
    runs = cluster.shape[1]
    flat = (cluster + torch.arange(runs, device=x.device) * k).T.reshape(-1)
    size = torch.bincount(flat, minlength=runs * k)
    if x.is_cuda:
        order = torch.argsort(flat, stable=True) % len(x)
    else:  # numpy sorts 16-bit numbers by radix
        small = cluster.T.numpy().astype(np.uint16 if k < 2**16 else np.uint32)
        order = torch.from_numpy(np.argsort(small, axis=1, kind="stable").reshape(-1))
    first = torch.cumsum(size, 0) - size
    return torch.nn.functional.embedding_bag(order, x, first, mode="sum"), size
