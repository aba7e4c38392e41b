"""Certified argmin in torch, for GPUs: the steps of argmin_cpu.py on all images at once."""

from typing import NamedTuple

import torch

from cluster.kernels.argmin_cpu import TIE, ArgminProblem, ArgminResult
from cluster.vectors.device import cells_on_gpu

PAIRS = 2**26  # numbers in the vectors that are compared in float64 at once


def certified_argmin_gpu(products: torch.Tensor, problem: ArgminProblem, out: ArgminResult) -> None:
    """As certified_argmin; products are float32, and are overwritten."""
    error, (runs, k, _) = problem.error, problem.centroids.shape
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
        near, floor = near_of(scores[pair], limit[pair])
        settle(pair, near, floor - error.ravel()[pair], problem, out)


class Near(NamedTuple):
    """Centroids to compare in float64. line: int64 [candidate], whose candidate it is, and name:
    int64 [candidate], its number in the run."""

    line: torch.Tensor
    name: torch.Tensor


def near_of(scores: torch.Tensor, limit: torch.Tensor) -> tuple[Near, torch.Tensor]:
    """The centroids whose scores [line, cluster] are not above the limit [line], and the lowest
    score of the others, [line]; scores are overwritten."""
    near = ~(scores > limit[:, None])
    found = Near(*torch.nonzero(near, as_tuple=True))
    return found, scores.masked_fill_(near, torch.inf).amin(1)


def settle(
    pair: torch.Tensor,
    near: Near,
    floor: torch.Tensor,
    problem: ArgminProblem,
    out: ArgminResult,
) -> None:
    """Write the nearest of the candidates of each line, compared in float64, to `out`.

    pair: int64 [line], image x runs + run; floor: float32 [line], a lower bound of the scores of
    all other centroids.
    """
    (runs, k, _), line, name = problem.centroids.shape, *near
    image = pair // runs
    column = name if runs == 1 else (pair % runs * k)[line] + name
    squares = problem.exact_squares.ravel()[column]
    x = problem.row[image[line]]
    exact = squares - 2 * _dots(problem.x, x, problem.centroids.flatten(0, 1), column)
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
    out.cluster.view(-1)[pair], out.upper.view(-1)[pair] = own, best.float()
    out.lower.view(-1)[pair] = torch.minimum(other, floor).float()


def _lowest(value: torch.Tensor, line: torch.Tensor, lines: int) -> torch.Tensor:
    """The lowest of each line, float64 [line]."""
    lowest = value.new_full((lines,), torch.inf)
    return lowest.scatter_reduce_(0, line, value, "amin")


def _dots(
    x: torch.Tensor, image: torch.Tensor, c: torch.Tensor, which: torch.Tensor
) -> torch.Tensor:
    """x[image]·c[which], float64 [pair], in which the product of two float32 is exact."""
    step = max(1, PAIRS // x.shape[1])
    pieces = zip(image.split(step), which.split(step), strict=True)
    return torch.cat([c.new_empty(0, dtype=torch.float64)] + [
        x.index_select(0, left).double().mul_(c.index_select(0, right)).sum(1)
        for left, right in pieces
    ])  # fmt: skip
