"""Certified argmin from the three lowest scores of each image: the steps of argmin_cpu.py.

Where the second score is further from the lowest than both can be off, the cluster is certain;
where only the third is, two distances in float64 decide. Where more than two centroids may be
nearest, which is rare, float32 products of these images say which.
"""

from typing import NamedTuple

import torch

from cluster.kernels.argmin_cpu import ArgminProblem, ArgminResult
from cluster.kernels.argmin_gpu import Near, near_of, settle
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

    It waits for the device once, and again where more than two centroids may be nearest."""
    from cluster.kernels.gpu.nearest3 import nearest3

    blocks = fused_blocks(bf16.device)
    assert blocks is not None
    index, score = nearest3(bf16, to.c, to.squares, blocks.fitted_to(problem.centroids.shape[1]))
    low, second, third = score.unbind(2)
    limit = low + 2 * problem.error
    out = ArgminResult(index[..., 0].long(), low + problem.error, second - problem.error)
    # Negated, so that scores that are no numbers are in doubt
    doubt = (~(score[..., 1:] > limit[..., None])).sum(2, dtype=torch.uint8).ravel()
    count, most = torch.stack([(doubt > 0).sum(), (doubt > 1).sum()]).tolist()
    if not count:
        return out
    pair = torch.sort(doubt, descending=True, stable=True).indices[:count]
    two = pair[most:]
    line = torch.arange(most, count, device=pair.device).repeat_interleave(2)
    near = [Near(line, index.view(-1, 2)[two].ravel().long())]
    floor = [(third - problem.error).ravel()[two]]
    size = max(1, cells_on_gpu(bf16.device) // problem.squares.numel())
    for low_line in range(0, most, size):
        some, least = _near_of_all(pair[low_line : min(low_line + size, most)], problem)
        near.append(some._replace(line=some.line + low_line))
        floor.insert(-1, least)
    settle(pair, Near(*(torch.cat(each) for each in zip(*near, strict=True))), torch.cat(floor),
           problem, out)  # fmt: skip
    return out


def _near_of_all(pair: torch.Tensor, problem: ArgminProblem) -> tuple[Near, torch.Tensor]:
    """The centroids that may be nearest of pairs (image x runs + run), from products in float32,
    and a lower bound of all other scores."""
    runs, k, dim = problem.centroids.shape
    image, run = pair // runs, pair % runs
    precision = full_precision(pair.device)
    longest = problem.exact_squares.amax(1).sqrt().float()[run]
    error = precision.rounding(dim) * longest * (problem.norms[image] + longest)
    with precision.applied():
        products = problem.x[problem.row[image]] @ problem.centroids.flatten(0, 1).T
    scores = torch.add(problem.squares, products, alpha=-2)
    if runs > 1:
        scores = scores.view(-1, runs, k)[torch.arange(len(pair), device=pair.device), run]
    near, floor = near_of(scores, scores.amin(1) + 2 * error)
    return near, floor - error
