"""Centroids prepared on a GPU, for the fused product or the plain one, whichever is faster."""

import torch
from jaxtyping import Float32, Float64

from cluster.kernels.gpu.available import Work, fused_is_faster, size_class
from cluster.kernels.gpu.fused_argmin import FusedCentroids, fused_centroids
from cluster.kernels.gpu.padding import padded_bf16
from cluster.kernels.low_precision import MatmulPrecision, fused_precision
from cluster.kmeans.nearest import PreparedCentroids, nearest

TRIAL_ROWS = 2**15  # images that are compared in both ways, at first


def prepare_on_gpu(
    centroids: Float32[torch.Tensor, "run cluster dim"], plain: MatmulPrecision, large: bool
) -> PreparedCentroids:
    """Prepare centroids for a product of precision `plain`, or, if they are `large` enough, for the
    fused one where that is faster."""
    squares = centroids.double().square_().sum(2)
    fused = fused_centroids(centroids, squares.float()) if large else None
    if fused is None:
        return _prepared(centroids, squares, plain, None)
    runs, k, dim = centroids.shape

    def trials() -> tuple[Work, Work]:
        x = _between(centroids)
        norms, bf16 = x.norm(dim=1), padded_bf16(x)
        two = (
            _prepared(centroids, squares, fused_precision(), fused),
            _prepared(centroids, squares, plain, None),
        )
        rest = [to.precision.residual(x) for to in two]
        return (
            lambda: nearest(x, norms, two[0], None, rest[0], bf16).cluster,
            lambda: nearest(x, norms, two[1], None, rest[1]).cluster,
        )

    shape = str(centroids.device), size_class(runs), size_class(k), size_class(dim)
    if fused_is_faster(shape, trials):
        return _prepared(centroids, squares, fused_precision(), fused)
    return _prepared(centroids, squares, plain, None)


def _prepared(
    centroids: Float32[torch.Tensor, "run cluster dim"],
    squares: Float64[torch.Tensor, "run cluster"],
    precision: MatmulPrecision,
    fused: FusedCentroids | None,
) -> PreparedCentroids:
    residual = precision.residual(centroids.flatten(0, 1)).view(squares.shape).amax(1)
    longest = squares.amax(1).sqrt().float()
    scaled, short = -2 * centroids.flatten(0, 1), squares.float().ravel()
    return PreparedCentroids(precision, scaled, short, longest, centroids, squares, residual, fused)


def _between(
    centroids: Float32[torch.Tensor, "run cluster dim"],
) -> Float32[torch.Tensor, "image dim"]:
    """Vectors on the way from one centroid of the first run to another, at least half of it."""
    c, device = centroids[0], centroids.device
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(len(c), (2, TRIAL_ROWS), generator=generator).to(device)
    share = torch.rand(TRIAL_ROWS, 1, generator=generator).to(device).clamp_(max=0.5)
    return torch.lerp(c[ends[0]], c[ends[1]], share)
