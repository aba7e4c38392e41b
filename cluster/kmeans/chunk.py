"""A chunk of the rows under k-means: the unit of work of an engine, on this machine or another.

It keeps the cluster of each image in each run, and Hamerly's bounds (hamerly_bounds.py), by which
most images need no distances after the first iterations. Cluster sums are updated by the images
that moved. This state only saves time: a chunk that lost it recomputes the same clusters from the
centroids of the previous iteration.
"""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Bool, Float32, Float64, Int, Int32, Int64

from cluster.kernels.bf16_rows import empty_bf16
from cluster.kernels.cluster_sums import Sums, add_to_sums, empty_sums
from cluster.kernels.gpu.padding import padded_bf16
from cluster.kernels.norms import distances, row_stats, sum_of_squares
from cluster.kmeans.chunk_messages import (
    ChunkArrays,
    Farthest,
    RunGroup,
    StepInput,
    StepResult,
    Tile,
)
from cluster.kmeans.coarse.nearest import (
    CoarseCentroids,
    encode_centroids,
)
from cluster.kmeans.coarse.rows import CoarseRows, encode_rows
from cluster.kmeans.cpu.assign_tile import assign_tile
from cluster.kmeans.data import Data, keeps_bf16, keeps_padded_bf16
from cluster.kmeans.gpu.assign_chunk import assign_chunk
from cluster.kmeans.hamerly_bounds import Bounds
from cluster.kmeans.nearest import (
    PreparedCentroids,
    prepare_centroids,
)
from cluster.vectors.device import rows_on_gpu
from cluster.vectors.rows import TILE

CHUNK_ROWS = 65_536  # fixed, since chunks decide the order of sums
ASSIGNMENTS = 2**19  # images x runs that are processed at once
# Clusters of all runs in one product: fewer are no faster, with more fewer images are skipped
CLUSTERS = 512


def chunk_rows(data: Data) -> int:
    """The most rows in a chunk, fixed for a device."""
    return CHUNK_ROWS if data.device == "cpu" else rows_on_gpu(data.dim)


@final
class ChunkState:
    """Rows start.. of the data, at most chunk_rows."""

    def __init__(
        self, data: Data, start: int, runs: int, label: Int[torch.Tensor, " image"] | None = None
    ) -> None:
        """label: the cluster that an image of the chunk is pinned to; -1: none."""
        self._data, self._start, self._label = data, start, label
        n = min(chunk_rows(data), len(data) - start)
        self._norms, self._residual = torch.empty(2, n, device=data.device)
        self._cluster = torch.full((runs, n), -1, dtype=torch.int32, device=data.device)
        self._is_assigned = torch.zeros(runs, dtype=torch.bool)
        self._bounds = Bounds(runs, n, data.device)
        self._total = torch.zeros(data.dim, dtype=torch.float64, device=data.device)
        self._bf16 = empty_bf16(n, data.dim) if keeps_bf16(data) else None
        self._coarse: CoarseRows | None = None
        for here in self._tiles():
            x, bf16 = self._read(here), None if self._bf16 is None else self._bf16[here]
            stats = row_stats(x, bf16)
            self._norms[here], self._residual[here] = stats.norm, stats.residual
            if keeps_padded_bf16(data):
                self._bf16 = padded_bf16(x)  # a GPU takes a chunk as one tile
            for block_sum in stats.block_sums:
                self._total += block_sum

    def __len__(self) -> int:
        return len(self._norms)

    def moments(self) -> tuple[float, Float64[torch.Tensor, " dim"]]:
        """The sum of |x|², and the sum of x."""
        return sum_of_squares(self._norms, 0.0), self._total

    def step(self, step: StepInput) -> StepResult:
        """Assign each image to its nearest centroid in the active runs."""
        runs, step = step.runs.cpu(), step.to(self._data.device)
        if step.before is not None:
            self._ensure_assigned(runs, step.before)
        return self._assign(step, runs)

    def set_assignment(self, cluster: Int32[torch.Tensor, "run image_of_all"], k: int) -> Sums:
        """Assign the images as `cluster` says, whatever is nearest; the cluster sums of that, by
        run x k + cluster."""
        own = cluster[:, self._start : self._start + len(self)].to(self._data.device)
        self._cluster[:] = own
        self._is_assigned[:] = True
        self._bounds.reset()
        sums = empty_sums(self._data.dim, own.device)
        base = torch.arange(len(own), device=own.device)[:, None] * k
        for here in self._tiles():
            image = torch.arange(here.stop - here.start, device=own.device).repeat(len(own))
            group = (own[:, here].long() + base).ravel()
            sums = add_to_sums(sums, self._read(here), image, group, torch.ones_like(group))
        return sums

    def farthest(
        self, run: int, centroids: Float32[torch.Tensor, "cluster dim"], count: int
    ) -> Farthest:
        """The `count` images furthest from the centroids of a run by which they were assigned;
        labelled images come last."""
        centroids = centroids.to(self._data.device)
        self._ensure_assigned(torch.tensor([run]), centroids[None])
        cluster = self._cluster[run].long()
        distance = torch.empty(len(self), device=self._data.device)
        for here in self._tiles():
            distance[here] = distances(self._read(here), centroids, cluster[here]).square_()
        if self._label is not None:
            distance[self._label >= 0] = -1
        row = torch.argsort(-distance, stable=True)[:count]
        x = self._data.take(row.cpu().numpy() + self._start)
        return Farthest(row, distance[row], cluster[row], x)

    def inertia(
        self, runs: Int64[torch.Tensor, " run"], centroids: Float32[torch.Tensor, "run cluster dim"]
    ) -> Float64[torch.Tensor, " run"]:
        """The sum of squared distances of the images to the centroids by which they were assigned,
        for some runs."""
        total = [0.0] * len(runs)
        centroids = centroids.to(self._data.device)
        self._ensure_assigned(runs.cpu(), centroids)
        for here in self._tiles():
            x = self._read(here)
            for at, run in enumerate(runs.tolist()):
                own = self._cluster[run, here].long()
                total[at] = sum_of_squares(distances(x, centroids[at], own), total[at])
        return torch.tensor(total, dtype=torch.float64)

    def _ensure_assigned(
        self, runs: Int64[torch.Tensor, " run"], centroids: Float32[torch.Tensor, "run cluster dim"]
    ) -> None:
        """Assign the images of runs whose state was lost, by their previous centroids."""
        lost = ~self._is_assigned[runs]
        if bool(lost.any()):
            some = StepInput(runs[lost], centroids[lost.to(centroids.device)], None, None)
            self._assign(some.to(self._data.device), runs[lost])

    def _assign(self, step: StepInput, runs: Int64[torch.Tensor, " active"]) -> StepResult:
        """runs: those of the step, on the CPU."""
        size = max(1, CLUSTERS // step.centroids.shape[1])
        if self._coarse is None:
            rows = range(self._start, self._start + len(self))
            self._coarse = encode_rows(self._data, rows, self._norms, step.centroids)
        groups = []
        for low in range(0, len(step.runs), size):
            some = slice(low, low + size)
            shift = None if step.shift is None else step.shift[some]
            groups.append(RunGroup(step.runs[some], self._prepare(step.centroids[some]), shift))
        before, self._is_assigned[runs] = self._is_assigned[runs], True
        arrays = self._cluster, self._bounds, self._norms, self._residual
        chunk = ChunkArrays(*arrays, self._bf16, self._label, self._coarse)
        if self._cluster.is_cuda:
            return assign_chunk(chunk, groups, self._load, bool(before.any()))
        moved = torch.zeros(len(self._cluster), dtype=torch.int64)
        sums = empty_sums(self._data.dim, step.runs.device)
        for here in self._tiles():
            sums = assign_tile(chunk, here, groups, self._load, moved, sums)
        return StepResult(sums, moved[step.runs])

    def _load(self, here: slice, undecided: Sequence[Bool[torch.Tensor, " image"]]) -> Tile:
        """Read the images of a tile that are undecided in any group."""
        place = torch.arange(here.stop - here.start, device=self._norms.device)
        if self._data.is_resident:
            return Tile(here, self._read(here), place)
        rows = torch.nonzero(torch.stack(list(undecided)).any(0)).ravel()
        if 2 * len(rows) > len(place):
            return Tile(here, self._read(here), place)
        place[rows] = torch.arange(len(rows), device=rows.device)
        x = self._data.take(rows.cpu().numpy() + here.start + self._start)
        return Tile(here, x, place)

    def _prepare(self, centroids: torch.Tensor) -> PreparedCentroids | CoarseCentroids:
        if self._coarse is None:
            return prepare_centroids(centroids)
        return encode_centroids(centroids, self._coarse.encoding)

    def _read(self, here: slice) -> Float32[torch.Tensor, "image dim"]:
        return self._data.tile(slice(here.start + self._start, here.stop + self._start))

    def _tiles(self) -> list[slice]:
        n, step = len(self), TILE
        if self._norms.is_cuda:
            step = n
        elif self._data.is_resident:  # larger tiles are faster
            step = max(TILE, min(CHUNK_ROWS, ASSIGNMENTS // len(self._cluster) // TILE * TILE))
        return [slice(start, min(start + step, n)) for start in range(0, n, step)]
