"""The nearest centroid of each vector, as in nearest.py, from products in few dims.

After SuperKMeans (arXiv:2603.20009), which prunes by partial distances in a rotated basis. But: the
lengths of what the leading dims leave out bound the rest here (leading_dims.py), so that nothing is
missed.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float32, Float64, Int64

from cluster.kernels.argmin_cpu import ArgminProblem, ArgminResult
from cluster.kernels.float32_product import float32_product
from cluster.kernels.low_precision import ROUNDING
from cluster.kmeans.nearest import (
    ROUGH,
    NearestWithBounds,
    distance_above,
    distance_below,
    in_pieces,
)
from cluster.kmeans.projected.argmin import projected_argmin
from cluster.kmeans.projected.leading_dims import LeadingDims


class ProjectedCentroids(NamedTuple):
    """scaled: as `dims` project them, times -2; squares: |c|², like exact_squares; longest: the
    largest norm of a run."""

    dims: LeadingDims
    scaled: Float32[torch.Tensor, "run*cluster leading"]
    squares: Float32[torch.Tensor, " run*cluster"]
    longest: Float32[torch.Tensor, " run"]
    centroids: Float32[torch.Tensor, "run cluster dim"]
    exact_squares: Float64[torch.Tensor, "run cluster"]


def project_centroids(
    centroids: Float32[torch.Tensor, "run cluster dim"], dims: LeadingDims
) -> ProjectedCentroids:
    """Compute what `nearest_projected` needs of the centroids."""
    squares = torch.stack([c.double().square_().sum(1) for c in centroids])
    norms = squares.sqrt().float()
    scaled = dims.project(centroids.flatten(0, 1), norms.ravel()).mul_(-2)
    return ProjectedCentroids(
        dims, scaled, squares.float().ravel(), norms.amax(1), centroids, squares
    )


def nearest_projected(
    x: Float32[torch.Tensor, "row dim"],
    norms: Float32[torch.Tensor, " image"],
    to: ProjectedCentroids,
    rows: Int64[torch.Tensor, " image"],
    leading: Float32[torch.Tensor, "image leading"],
    before: Int64[torch.Tensor, "image run"],
    upper: Float32[torch.Tensor, "image run"],
) -> NearestWithBounds:
    """As `nearest`. The images are these rows of x, `leading` in the dims of `to`. before: a
    cluster of each, or -1; upper: an upper bound of the distance to it."""
    before, upper = before.contiguous(), upper.contiguous()
    found = ArgminResult(torch.empty_like(before), torch.empty_like(upper), torch.empty_like(upper))
    norm = norms[:, None]
    scale = to.longest * (norm + to.longest)
    error = ROUNDING * x.shape[1] ** 0.5 * scale
    slack = 2 * (to.dims.error + ROUNDING * leading.shape[1] ** 0.5) * scale
    limit = upper.square() * (1 + ROUGH) - norm.square() * (1 - ROUGH)

    def find(here: slice) -> None:
        problem = ArgminProblem(
            to.squares, error[here], x, rows[here], norms[here], to.centroids, to.exact_squares
        )
        products = float32_product(leading[here], to.scaled).numpy()
        own = ArgminResult._make(each[here] for each in found)
        projected_argmin(products, slack[here], problem, before[here], limit[here], own)

    in_pieces(find, len(norms), to.scaled)
    return NearestWithBounds(
        found.cluster, distance_above(found.upper, norm), distance_below(found.lower, norm)
    )
