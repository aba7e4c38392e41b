"""Certified argmin from the three lowest scores of each image: the steps of argmin_cpu.py.

Where the second score is further from the lowest than both can be off, the cluster is certain;
where only the third is, two distances in float64 decide. Where more than two centroids may be
nearest, which is rare, float32 products of these images decide as in argmin_gpu.py.
"""

from typing import NamedTuple

import torch

from cluster.kernels.argmin_cpu import TIE, ArgminProblem, ArgminResult
from cluster.kernels.argmin_gpu import certified_argmin_gpu, dots
from cluster.kernels.gpu.available import fused_blocks
from cluster.kernels.gpu.padding import padded_bf16
from cluster.kernels.low_precision import full_precision
from cluster.vectors.device import cells_on_gpu


class FusedCentroids(NamedTuple):
    """Operands of the kernel: c, bfloat16 [run, cluster, dim], centroids times -2; squares, float32
    [run, cluster]; both padded."""

    c: torch.Tensor
    squares: torch.Tensor


def fused_centroids(centroids: torch.Tensor, squares: torch.Tensor) -> FusedCentroids | None:
    """Of centroids [run, cluster, dim] and |c|² [run, cluster], float32; None where the kernels
    cannot be used."""
    blocks = fused_blocks(centroids.device)
    if blocks is None:
        return None
    more = -centroids.shape[1] % blocks.fitted_to(centroids.shape[1]).columns
    c = torch.nn.functional.pad(padded_bf16(-2 * centroids), (0, 0, 0, more))
    return FusedCentroids(c, torch.nn.functional.pad(squares, (0, more), value=torch.inf))


def fused_argmin(bf16: torch.Tensor, to: FusedCentroids, problem: ArgminProblem) -> ArgminResult:
    """The answer of certified_argmin, and its bounds. bf16: the images as padded_bf16, contiguous;
    problem.squares, float32 [run x cluster], are those without padding.

    It waits for the device once, or twice more where more than two centroids may be nearest."""
    from cluster.kernels.gpu.nearest3 import nearest3

    blocks = fused_blocks(bf16.device)
    assert blocks is not None
    runs, k, _ = problem.centroids.shape
    index, score = nearest3(bf16, to.c, to.squares, blocks.fitted_to(k))
    low, second, third = score.unbind(2)
    limit = low + 2 * problem.error
    out = ArgminResult(index[..., 0].long(), low + problem.error, second - problem.error)
    # Negated, so that scores that are no numbers are in doubt
    several, many = ~(second > limit), ~(third > limit)
    count, most = torch.stack([several.sum(), many.sum()]).tolist()
    if count:
        doubt = several.ravel().byte() + many.ravel()
        pair = torch.sort(doubt, descending=True, stable=True).indices[:count]
        _settle_two(pair[most:], index, third, problem, out)
        if most:
            _settle_many(pair[:most] // runs, problem, out)
    return out


def _settle_two(
    pair: torch.Tensor,
    index: torch.Tensor,
    third: torch.Tensor,
    problem: ArgminProblem,
    out: ArgminResult,
) -> None:
    """Compare the two lowest of each pair (image x runs + run) in float64."""
    runs, k, _ = problem.centroids.shape
    image, run = pair // runs, pair % runs
    name = index[image, run].long().sort(1).values  # of equal ones the lower wins
    squares = problem.exact_squares[run[:, None], name]
    there = problem.row[image].repeat_interleave(2)
    c = (run[:, None] * k + name).ravel()
    exact = squares - 2 * dots(problem.x, there, problem.centroids.flatten(0, 1), c).view(-1, 2)
    far = squares.amax(1).sqrt()
    tie = TIE * far * (problem.norms[image] + far)
    lower = exact[:, 0] <= exact[:, 1] + tie
    out.cluster[image, run] = torch.where(lower, name[:, 0], name[:, 1])
    least, other = (
        torch.where(lower, exact[:, i], exact[:, 1 - i]).to(third.dtype) for i in (0, 1)
    )
    out.upper[image, run] = least
    out.lower[image, run] = torch.minimum(other, third[image, run] - problem.error[image, run])


def _settle_many(image: torch.Tensor, problem: ArgminProblem, out: ArgminResult) -> None:
    """Compare these images, some maybe more than once, with all centroids again."""
    runs, k, dim = problem.centroids.shape
    precision, scaled = full_precision(image.device), -2 * problem.centroids.flatten(0, 1)
    longest = problem.exact_squares.amax(1).sqrt().float()
    for some in image.split(max(1, cells_on_gpu(image.device) // (runs * k))):
        norms, row = problem.norms[some], problem.row[some]
        error = precision.rounding(dim) * longest * (norms[:, None] + longest)
        own = problem._replace(error=error, row=row, norms=norms)
        found = ArgminResult._make(torch.empty_like(each[some]) for each in out)
        with precision.applied():
            products = problem.x[row] @ scaled.T
        certified_argmin_gpu(products, own, found)
        for whole, part in zip(out, found, strict=True):
            whole[some] = part
