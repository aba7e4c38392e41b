"""Vectors in their leading dims: most of their length in a few numbers, and the rest as one bound.

x = Pᵀy + u for any y, where the rows of P are orthonormal, or nearly so, and y is nearly Px. Then
x·c is y·z to within |u||w| (Cauchy-Schwarz), with c = Pᵀz + w, so that a product in few dims bounds
a distance from below. P spans the leading directions of a sample: a randomised range finder with
power iterations (Halko, Martinsson and Tropp 2011, algorithm 4.4).
"""

from typing import NamedTuple

import torch

from cluster.kernels.low_precision import ROUNDING, bfloat16_is_fast
from cluster.kernels.threads import on_cores

# Dims, numbers in the centroids of a run, and images x centroids of all runs, from which on it pays
FEWEST_DIMS, FEWEST_NUMBERS, FEWEST_PAIRS = 192, 160_000, 2**21
WIDE, DIMS = 512, 127  # leading dims of vectors of so many dims; of others half of them
SAMPLE, POWER_ITERATIONS, MORE = 1024, 2, 32
ROWS = 4096  # rows that a core projects at once


class LeadingDims(NamedTuple):
    """components: float32 [leading dim, dim]. error: |x·c - y·z| <= |u||w| + error |x||c|."""

    components: torch.Tensor
    error: float

    def project(self, x: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """y, and an upper bound of |u|, of x (float32 [image, dim], of such norms): float32 [image,
        leading dim + 1]."""
        dims = len(self.components)
        out = torch.empty(len(x), dims + 1)
        numbers, basis = x.numpy(), self.components.numpy().T

        def some(start: int) -> None:
            here = slice(start, start + ROWS)
            out[here, :dims] = torch.from_numpy(numbers[here] @ basis)
            y, rest = out[here, :dims], out[here, dims]
            squares = norms[here].square() * (1 + self.error) - (y * y).sum(1)
            rest[:] = squares.clamp_(min=0).sqrt_() * (1 + ROUNDING)

        on_cores(some, range(0, len(x), ROWS))
        return out


def leading_dims(dim: int) -> int:
    """How many of `dim` are kept."""
    return DIMS if dim >= WIDE else DIMS // 2


def pays(images: int, centroids: torch.Tensor) -> bool:
    """Whether to look for the nearest of `centroids` [run, centroid, dim] in leading dims: where
    there are many, and no fast products of all dims."""
    runs, k, dim = centroids.shape
    large = k * dim >= FEWEST_NUMBERS and images * runs * k >= FEWEST_PAIRS
    return large and dim >= FEWEST_DIMS and not (centroids.is_cuda or bfloat16_is_fast())


def pays_anew(centroids: torch.Tensor) -> bool:
    """The same where the vectors are projected anew for every search."""
    return centroids.shape[0] * centroids.shape[1] >= 4 * DIMS


def fit_leading_dims(sample: torch.Tensor) -> LeadingDims:
    """Of float32 sample [image, dim]. Only the time of a search depends on how well they fit."""
    sample = sample / sample.abs().max().clamp(min=1e-30)  # squares of squares may be infinite
    dim = sample.shape[1]
    dims = leading_dims(dim)
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(dim, dims + MORE, generator=generator)
    for _ in range(POWER_ITERATIONS):
        basis = torch.linalg.qr(sample.T @ (sample @ basis)).Q
    inside = sample @ basis
    basis = basis @ torch.linalg.eigh(inside.T @ inside).eigenvectors.flip(1)[:, :dims]
    wide = basis.double()
    skew = float((wide.T @ wide - torch.eye(dims, dtype=torch.float64)).norm())
    # |y - Px| <= rounding |x|, of each dim and so of their vector; see the module's first lines:
    # y·(z - Pc), z·(y - Px), and three times the skew; the length of u adds as much
    rounding = ROUNDING * (dim * dims) ** 0.5
    return LeadingDims(basis.T.contiguous(), 4 * (rounding + skew))
