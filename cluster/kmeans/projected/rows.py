"""The rows of a chunk in their leading dims: kept where all fit in memory, else projected anew."""

from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64

from cluster.kmeans.data import Data
from cluster.kmeans.projected.leading_dims import (
    SAMPLE,
    LeadingDims,
    fit_leading_dims,
    leading_dims,
    pays,
    pays_anew,
)
from cluster.vectors.rows import TILE

MAX_BYTES = 400_000_000  # of the leading dims of all rows


class ProjectedRows(NamedTuple):
    """kept: float32 [image, leading], or None."""

    dims: LeadingDims
    kept: torch.Tensor | None

    def of(
        self,
        x: Float32[torch.Tensor, "row dim"],
        place: Int64[torch.Tensor, " image"],
        norms: Float32[torch.Tensor, " image"],
        at: slice | torch.Tensor,
    ) -> Float32[torch.Tensor, "image leading"]:
        """Of the images `at` of the chunk, which are the rows `place` of x."""
        if self.kept is not None:
            return self.kept[at]
        return self.dims.project(x.index_select(0, place), norms)


def project_rows(
    data: Data, rows: range, norms: Float32[torch.Tensor, " image"], centroids: torch.Tensor
) -> ProjectedRows | None:
    """The rows of a chunk, if that makes the search for the nearest of `centroids` faster."""
    if data.device != "cpu" or not pays(len(rows), centroids):
        return None
    width = leading_dims(data.dim) + 1
    keeps = 4 * width * len(data) <= MAX_BYTES
    if not (keeps or pays_anew(centroids)):
        return None
    evenly = torch.linspace(rows.start, rows.stop - 1, min(len(rows), SAMPLE)).long()
    dims = fit_leading_dims(data.take(evenly.numpy()))
    if not keeps:
        return ProjectedRows(dims, None)
    kept = torch.empty(len(rows), width)
    for start in range(rows.start, rows.stop, TILE):
        here = slice(start, min(start + TILE, rows.stop))
        own = slice(here.start - rows.start, here.stop - rows.start)
        kept[own] = dims.project(data.tile(here), norms[own])
    return ProjectedRows(dims, kept)
