"""Empty clusters of k-means move to the images that are furthest from their centroids."""

import numpy as np
import torch

from cluster.view import View


def refill(
    view: View,
    centroids: torch.Tensor,
    assignment: np.ndarray,
    which: list[int],
    sums: torch.Tensor,
    counts: torch.Tensor,
    label: np.ndarray | None = None,
) -> None:
    """Give an image to each cluster without one, as scikit-learn does, in the runs `which` of sums
    (float64 [run, cluster, dim]) and counts (int64 [run, cluster]), in place.

    centroids: float32 [which, cluster, dim], those that the images were assigned by; assignment:
    int32 [which, image]; label: int64 [image], an image stays where it is unless that is -1, as it
    is for as many as there are clusters to fill. When all images lie on their centroids there is
    nothing to gain: the clusters stay empty.
    """
    distance = np.empty(assignment.shape, np.float32)
    for here, x in view.tiles():
        for c, cluster, out in zip(centroids, assignment, distance, strict=True):
            own = torch.from_numpy(cluster[here]).to(c.device)
            out[here] = (c[own] - x).square_().sum(1).cpu().numpy()
    if label is not None:
        distance[:, label >= 0] = -1
    for run, cluster, far in zip(which, assignment, distance, strict=True):
        empty = torch.nonzero(counts[run] == 0).ravel()
        furthest = np.argsort(-far, kind="stable")[: len(empty)]
        if far[furthest[0]] == 0:
            continue
        source = torch.from_numpy(cluster[furthest]).to(counts.device).long()
        x = view.take(furthest).double()
        sums[run].index_add_(0, source, x, alpha=-1)
        counts[run].index_add_(0, source, torch.ones_like(source), alpha=-1)
        sums[run, empty], counts[run, empty] = x, 1
