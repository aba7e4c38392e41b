"""Relocate the empty clusters of k-means to the images furthest from their centroids."""

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from cluster.kmeans.chunk import ChunkState
from cluster.kmeans.engine import Engine


def relocate_empty_clusters(
    engine: Engine,
    run: int,
    centroids: Float32[torch.Tensor, "cluster dim"],
    sums: Float64[torch.Tensor, "cluster dim"],
    counts: Int64[torch.Tensor, " cluster"],
) -> None:
    """Give one image to each empty cluster of a run, as scikit-learn does: changes sums and counts
    in place.

    centroids: those that the images were assigned by. Images with a label stay where they are, if
    there are as many others as empty clusters. When all images lie on their centroids, nothing can
    be gained and the clusters stay empty.
    """
    empty = torch.nonzero(counts == 0).ravel()
    found = [
        [each.cpu() for each in farthest]
        for farthest in engine.map(ChunkState.farthest, run, centroids, len(empty))
    ]
    _, distance, source, x = (torch.cat(each) for each in zip(*found, strict=True))
    # Chunks come in the order of their rows, and so do equally far images: a stable sort keeps it
    order = torch.from_numpy(np.argsort(-distance.numpy(), kind="stable")[: len(empty)])
    if distance[order[0]] <= 0:
        return
    source, x = source[order].to(sums.device), x[order].double().to(sums.device)
    sums.index_add_(0, source, x, alpha=-1)
    counts.index_add_(0, source, torch.ones_like(source), alpha=-1)
    sums[empty], counts[empty] = x, 1
