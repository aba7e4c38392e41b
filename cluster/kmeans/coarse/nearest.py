"""The nearest centroid of each vector, as in kmeans/nearest.py, from cheap products.

After SuperKMeans (arXiv:2603.20009), which prunes by partial distances. But: what cheap products
leave out is bounded (int8.py, leading_dims.py), so that nothing is missed.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Float64, Int64

from cluster.kernels.argmin_cpu import ArgminProblem, ArgminResult
from cluster.kernels.low_precision import ROUNDING
from cluster.kmeans.coarse.int8 import Int8
from cluster.kmeans.coarse.leading_dims import LeadingDims
from cluster.kmeans.nearest import (
    ROUGH,
    NearestWithBounds,
    distance_above,
    distance_below,
    in_pieces,
)

Encoding = Int8 | LeadingDims


class CoarseCentroids(NamedTuple):
    """columns: as `encoding` has the centroids; squares: |c|², like exact_squares; longest: the
    largest norm of a run."""

    encoding: Encoding
    columns: Any
    squares: Float32[torch.Tensor, " run*cluster"]
    longest: Float32[torch.Tensor, " run"]
    centroids: Float32[torch.Tensor, "run cluster dim"]
    exact_squares: Float64[torch.Tensor, "run cluster"]


def encode_centroids(
    centroids: Float32[torch.Tensor, "run cluster dim"], encoding: Encoding
) -> CoarseCentroids:
    """Compute what `nearest_coarse` needs of the centroids."""
    squares = torch.stack([c.double().square_().sum(1) for c in centroids])
    norms = squares.sqrt().float()
    columns = encoding.columns(centroids.flatten(0, 1), norms.ravel())
    return CoarseCentroids(
        encoding, columns, squares.float().ravel(), norms.amax(1), centroids, squares
    )


def nearest_coarse(
    x: Float32[torch.Tensor, "row dim"],
    norms: Float32[torch.Tensor, " image"],
    to: CoarseCentroids,
    rows: Int64[torch.Tensor, " image"],
    encoded: Any,
    before: Int64[torch.Tensor, "image run"],
    upper: Float32[torch.Tensor, "image run"],
) -> NearestWithBounds:
    """As `nearest`. The images are these rows of x, `encoded` as the encoding of `to` has them.
    before: a cluster of each, or -1; upper: an upper bound of the distance to it."""
    before, upper = before.contiguous(), upper.contiguous()
    found = ArgminResult(torch.empty_like(before), torch.empty_like(upper), torch.empty_like(upper))
    norm = norms[:, None]
    error = ROUNDING * x.shape[1] ** 0.5 * to.longest * (norm + to.longest)
    limit = upper.square() * (1 + ROUGH) - norm.square() * (1 - ROUGH)

    def find(here: slice) -> None:
        problem = ArgminProblem(
            to.squares, error[here], x, rows[here], norms[here], to.centroids, to.exact_squares
        )
        some = type(encoded)._make(each[here] for each in encoded)
        own = ArgminResult._make(each[here] for each in found)
        to.encoding.argmin(some, to.columns, problem, before[here], limit[here], own)

    in_pieces(find, len(norms), to.squares)
    return NearestWithBounds(
        found.cluster, distance_above(found.upper, norm), distance_below(found.lower, norm)
    )
