"""Images that belong to none of the classes, known or new: those far from the mean of their own.

After the nearest class mean of Lee et al. (NeurIPS 2018, arXiv:1807.03888), with the
threshold at which a given share of the labelled images is lost, as detectors are compared (95 % are
kept, there). But: the covariance is the identity; images without a label have a mean as well, that
of their cluster. Probabilities and energies were tried and fail: the head is trained on the odd
images too, and becomes sure of them.

A group of odd images that look alike is a class like any other, and is not found: it takes a
cluster, for which k has to leave room.
"""

from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.cluster_sums import cluster_sums
from cluster.kernels.norms import distances
from cluster.vectors.rows import Rows
from cluster.vectors.tiles import tiles


class Reject(NamedTuple):
    """centroids: float32 [seed, cluster, dim], the mean of the images that were fitted, that of all
    for a cluster without any; reject_beyond: float32 [seed], the distance from the own cluster's
    mean beyond which an image belongs to none."""

    centroids: np.ndarray
    reject_beyond: np.ndarray


def fit_reject(
    rows: Rows,
    assignment: np.ndarray,
    labelled: np.ndarray,
    share: float,
    k: int,
    device: str = "cpu",
) -> Reject:
    """Means of the clusters of `rows`, and the distance that `share` of the labelled images exceed.

    assignment: int32 [seed, image], as predicted for labelled images too; labelled: int64, places
    of the images whose class is known, one or more; share: above 0 and below 1.
    """
    own = torch.from_numpy(assignment.astype(np.int64).T.copy()).to(device)
    sums = torch.zeros(len(assignment) * k, rows.dim, dtype=torch.float64, device=device)
    size = torch.zeros(len(assignment) * k, dtype=torch.int64, device=device)
    for here, x in tiles(rows, device):
        more, images = cluster_sums(x, own[here], k)
        sums, size = sums + more, size + images
    sums, size = sums.view(-1, k, rows.dim), size.view(-1, k)
    everything = sums.sum(1, keepdim=True) / len(rows)
    means = torch.where(size[..., None] > 0, sums / size.clamp(min=1)[..., None], everything)
    centroids = means.float().cpu().numpy()
    away = own_distance(rows, assignment, centroids, device)[:, labelled]
    beyond = np.quantile(away, 1 - share, axis=1, method="higher")
    return Reject(centroids, beyond.astype(np.float32))


def own_distance(
    rows: Rows, assignment: np.ndarray, centroids: np.ndarray, device: str = "cpu"
) -> np.ndarray:
    """The Euclidean distance of each image from the centroid of its own cluster, float32 [seed,
    image]."""
    to, out = torch.from_numpy(centroids).to(device), np.empty(assignment.shape, np.float32)
    for here, x in tiles(rows, device):
        for seed, own in enumerate(assignment[:, here]):
            cluster = torch.from_numpy(own.astype(np.int64)).to(device)
            out[seed, here] = distances(x, to[seed], cluster).cpu().numpy()
    return out
