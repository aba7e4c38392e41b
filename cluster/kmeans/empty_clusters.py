"""Empty clusters of k-means move to the images that are furthest from their centroids."""

import numpy as np
import torch

from cluster.kmeans.chunk import Part
from cluster.kmeans.engine import Parts


def refill(
    parts: Parts, run: int, centroids: torch.Tensor, sums: torch.Tensor, counts: torch.Tensor
) -> None:
    """Give an image to each cluster of a run without one, as scikit-learn does, in sums (float64
    [cluster, dim]) and counts (int64 [cluster]), in place.

    centroids: float32 [cluster, dim], those that the images were assigned by. Images with a label
    stay where they are, if there are as many others as clusters to fill. When all images lie on
    their centroids there is nothing to gain: the clusters stay empty.
    """
    empty = torch.nonzero(counts == 0).ravel()
    found = [
        [each.cpu() for each in far] for far in parts.map(Part.far, run, centroids, len(empty))
    ]
    _, distance, source, x = (torch.cat(each) for each in zip(*found, strict=True))
    # Parts come in the order of their rows, and so do the images of each that are equally far
    order = torch.from_numpy(np.argsort(-distance.numpy(), kind="stable")[: len(empty)])
    if distance[order[0]] <= 0:
        return
    source, x = source[order].to(sums.device), x[order].double().to(sums.device)
    sums.index_add_(0, source, x, alpha=-1)
    counts.index_add_(0, source, torch.ones_like(source), alpha=-1)
    sums[empty], counts[empty] = x, 1
