"""Certified argmin in torch, for GPUs: the steps of argmin_cpu.py on all images at once."""

import torch

from cluster.kernels.argmin_cpu import TIE, ArgminProblem, ArgminResult

CELLS = 2**22  # scores of undecided images that are held at once
PAIRS = 2**24  # numbers in the vectors that are compared in float64 at once


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
    for pair in torch.nonzero(second <= limit).ravel().split(max(1, CELLS // k)):
        undecided = scores[pair] <= limit[pair, None]
        rest = scores[pair].masked_fill_(undecided, torch.inf).amin(1)
        line, name = torch.nonzero(undecided, as_tuple=True)
        image, run = pair // runs, pair % runs
        exact = exact_squares[run[line], name] - 2 * _dots(
            problem.x, problem.row[image[line]], centroids.flatten(0, 1), run[line] * k + name
        )
        first = _lowest(exact, line, len(pair))
        far = torch.zeros_like(first)
        far.scatter_reduce_(0, line, exact_squares[run[line], name], "amax")
        far.sqrt_()  # the longest of those that are compared
        tie = TIE * far * (problem.norms[image] + far)
        equal = exact <= (first + tie)[line]
        own = torch.full_like(pair, k).scatter_reduce_(0, line[equal], name[equal], "amin")
        chosen = name == own[line]
        other = _lowest(exact.masked_fill(chosen, torch.inf), line, len(pair))
        out.cluster[image, run], out.upper[image, run] = own, exact[chosen].to(out.upper.dtype)
        least = torch.minimum(other, rest - error[image, run])
        out.lower[image, run] = least.to(out.lower.dtype)


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
