"""Certified argmin in torch, for GPUs: the steps of argmin_cpu.py on all images at once."""

import torch

from cluster.kernels.argmin_cpu import TIE, ArgminProblem, ArgminResult
from cluster.vectors.device import cells_on_gpu

PAIRS = 2**26  # numbers in the vectors that are compared in float64 at once


def certified_argmin_gpu(products: torch.Tensor, problem: ArgminProblem, out: ArgminResult) -> None:
    """As certified_argmin; products are float32, and are overwritten."""
    error, centroids, exact_squares = problem.error, problem.centroids, problem.exact_squares
    runs, k, _ = centroids.shape
    scores = products[:, : runs * k].add_(problem.squares).reshape(-1, k)
    limit = 2 * error.ravel()
    low, which = scores.min(1)
    limit += low
    scores.scatter_(1, which[:, None], torch.inf)
    second = scores.amin(1)
    scores.scatter_(1, which[:, None], low[:, None])
    out.cluster[:], out.upper[:] = which.view(error.shape), low.view(error.shape) + error
    out.lower[:] = second.view(error.shape) - error
    doubt = torch.nonzero(~(second > limit)).ravel()
    for pair in doubt.split(max(1, cells_on_gpu(doubt.device) // k)):
        near = scores[pair]
        undecided = ~(near > limit[pair, None])
        line, name = torch.nonzero(undecided, as_tuple=True)
        rest = near.masked_fill_(undecided, torch.inf).amin(1)
        image, run = pair // runs, pair % runs
        squares = exact_squares[run[line], name]
        exact = squares - 2 * dots(
            problem.x, problem.row[image[line]], centroids.flatten(0, 1), run[line] * k + name
        )
        first = _lowest(exact, line, len(pair))
        far = torch.zeros_like(first).scatter_reduce_(0, line, squares, "amax")
        far.sqrt_()  # the longest of those that are compared
        tie = TIE * far * (problem.norms[image] + far)
        equal = exact <= (first + tie)[line]
        own = torch.full_like(pair, k - 1)
        own.scatter_reduce_(0, line, torch.where(equal, name, k - 1), "amin")
        chosen = name == own[line]
        best = _lowest(exact.masked_fill(~chosen, torch.inf), line, len(pair))
        other = _lowest(exact.masked_fill(chosen, torch.inf), line, len(pair))
        out.cluster[image, run], out.upper[image, run] = own, best.to(out.upper.dtype)
        least = torch.minimum(other, rest - error[image, run])
        out.lower[image, run] = least.to(out.lower.dtype)


def _lowest(value: torch.Tensor, line: torch.Tensor, lines: int) -> torch.Tensor:
    """The lowest of each line, float64 [line]."""
    lowest = value.new_full((lines,), torch.inf)
    return lowest.scatter_reduce_(0, line, value, "amin")


def dots(
    x: torch.Tensor, image: torch.Tensor, c: torch.Tensor, which: torch.Tensor
) -> torch.Tensor:
    """x[image]·c[which], float64 [pair], in which the product of two float32 is exact."""
    step = max(1, PAIRS // x.shape[1])
    pieces = zip(image.split(step), which.split(step), strict=True)
    return torch.cat([c.new_empty(0, dtype=torch.float64)] + [
        x.index_select(0, left).double().mul_(c.index_select(0, right)).sum(1)
        for left, right in pieces
    ])  # fmt: skip
