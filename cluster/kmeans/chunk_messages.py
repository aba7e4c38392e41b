"""What an iteration of k-means sends to each chunk of rows, and what the chunk answers."""

from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64

from cluster.kernels.cluster_sums import Sums


class StepInput(NamedTuple):
    """An assignment step of the active runs.

    runs: their numbers; before: the centroids of each run's previous step; shift: how far each
    centroid moved since, rounded up. In a first step `before` and `shift` are None.
    """

    runs: Int64[torch.Tensor, " active"]
    centroids: Float32[torch.Tensor, "active cluster dim"]
    before: Float32[torch.Tensor, "active cluster dim"] | None
    shift: Float32[torch.Tensor, "active cluster"] | None

    def to(self, device: str) -> "StepInput":
        return StepInput._make(each if each is None else each.to(device) for each in self)


class StepResult(NamedTuple):
    """sums: the change of the cluster sums, by run x clusters + cluster; moved: how many images
    changed their cluster."""

    sums: Sums
    moved: Int64[torch.Tensor, " active"]


class Farthest(NamedTuple):
    """The images furthest from their centroids, furthest first. row: in the chunk; distance:
    squared."""

    row: Int64[torch.Tensor, " image"]
    distance: Float32[torch.Tensor, " image"]
    cluster: Int64[torch.Tensor, " image"]
    x: Float32[torch.Tensor, "image dim"]
