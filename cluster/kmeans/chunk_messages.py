"""What an iteration of k-means sends to a chunk of rows, what that holds, and what it answers."""

from typing import Any, NamedTuple

import torch
from jaxtyping import BFloat16, Float32, Int, Int32, Int64

from cluster.kernels.cluster_sums import Sums
from cluster.kmeans.coarse.nearest import CoarseCentroids
from cluster.kmeans.coarse.rows import CoarseRows
from cluster.kmeans.hamerly_bounds import Bounds
from cluster.kmeans.nearest import NearestWithBounds, PreparedCentroids


class RunGroup(NamedTuple):
    """Runs whose distances are computed in one product. shift: of their centroids, or None."""

    runs: Int64[torch.Tensor, " run"]
    to: PreparedCentroids | CoarseCentroids
    shift: Float32[torch.Tensor, "run cluster"] | None


class Tile(NamedTuple):
    """The rows x of a tile that are needed. place: the row of x of each image of the tile."""

    here: slice
    x: Float32[torch.Tensor, "row dim"]
    place: Int64[torch.Tensor, " image"]


class ChunkArrays(NamedTuple):
    """What a chunk knows of its images. bf16: the padded rows, if they are cached; label: the
    cluster that an image is pinned to, -1: none; coarse: the rows for cheap products, if that
    pays."""

    cluster: Int32[torch.Tensor, "run image"]
    bounds: Bounds
    norms: Float32[torch.Tensor, " image"]
    residual: Float32[torch.Tensor, " image"]
    bf16: BFloat16[torch.Tensor, "image padded"] | None
    label: Int[torch.Tensor, " image"] | None
    coarse: CoarseRows | None

    def write(
        self, where: Any, at: slice | torch.Tensor, found: NearestWithBounds
    ) -> tuple[Int64[torch.Tensor, "run image"], Int64[torch.Tensor, "run image"]]:
        """Assign the images `at`, in the runs of `where`, to the nearest centroids, but for those
        that are pinned. The clusters before and now."""
        new, upper, lower = (each.T for each in found)
        if self.label is not None:
            pinned = self.label[at]
            new = torch.where(pinned >= 0, pinned, new)
            lower = lower.masked_fill(pinned >= 0, torch.inf)
        old = self.cluster[where].long()
        self.cluster[where] = new.int()
        self.bounds.upper[where], self.bounds.lower[where] = upper, lower
        return old, new


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
