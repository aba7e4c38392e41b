"""The rows of a chunk for cheap products: kept where all fit in memory, else made anew."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Int64

from cluster.kmeans.coarse.int8 import Int8
from cluster.kmeans.coarse.leading_dims import SAMPLE, LeadingDims, fit_leading_dims
from cluster.kmeans.coarse.nearest import Encoding
from cluster.kmeans.data import Data
from cluster.vectors.rows import TILE

MAX_BYTES = 400_000_000  # of all rows


class CoarseRows(NamedTuple):
    """kept: the rows as `encoding` has them, or None."""

    encoding: Encoding
    kept: Any

    def of(
        self,
        x: Float32[torch.Tensor, "row dim"],
        place: Int64[torch.Tensor, " image"],
        norms: Float32[torch.Tensor, " image"],
        at: slice | torch.Tensor,
    ) -> Any:
        """Of the images `at` of the chunk, which are the rows `place` of x."""
        if self.kept is not None:
            return type(self.kept)._make(each[at] for each in self.kept)
        out: Any = self.encoding.empty(len(place), x.shape[1])
        self.encoding.encode(x.index_select(0, place), norms, out)
        return out


def encode_rows(
    data: Data, rows: range, norms: Float32[torch.Tensor, " image"], centroids: torch.Tensor
) -> CoarseRows | None:
    """The rows of a chunk, if that makes the search for the nearest of `centroids` faster."""
    if data.device != "cpu":
        return None
    for kind in (Int8, LeadingDims):
        if kind.pays(len(rows), centroids):
            return _encode(kind, data, rows, norms, kind.pays_anew(centroids))
    return None


def _encode(
    kind: type[Encoding],
    data: Data,
    rows: range,
    norms: Float32[torch.Tensor, " image"],
    pays_anew: bool,
) -> CoarseRows | None:
    one = kind.empty(1, data.dim)
    keeps = len(data) * sum(each.nbytes for each in one) <= MAX_BYTES
    if not (keeps or pays_anew):
        return None
    encoding: Encoding = Int8()
    if kind is LeadingDims:
        evenly = torch.linspace(rows.start, rows.stop - 1, min(len(rows), SAMPLE)).long()
        encoding = fit_leading_dims(data.take(evenly.numpy()))
    if not keeps:
        return CoarseRows(encoding, None)
    kept: Any = kind.empty(len(rows), data.dim)
    for start in range(rows.start, rows.stop, TILE):
        here = slice(start, min(start + TILE, rows.stop))
        own = slice(here.start - rows.start, here.stop - rows.start)
        encoding.encode(data.tile(here), norms[own], type(kept)._make(each[own] for each in kept))
    return CoarseRows(encoding, kept)
