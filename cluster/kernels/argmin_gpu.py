"""The same as choose.py, by torch: all rows at once instead of one after the other."""

import torch

from cluster.kernels.argmin_cpu import TIE

CELLS = 2**22  # scores of images in doubt at once
PAIRS = 2**24  # numbers in the vectors that are compared in float64 at once


def choose_on_gpu(
    products: torch.Tensor,
    short: torch.Tensor,
    off: torch.Tensor,
    x: torch.Tensor,
    place: torch.Tensor,
    norms: torch.Tensor,
    centroids: torch.Tensor,
    squares: torch.Tensor,
    cluster: torch.Tensor,
    best: torch.Tensor,
    lower: torch.Tensor,
) -> None:
    """As choose; products are float32, and are lost."""
    runs, k, _ = centroids.shape
    near = products[:, : runs * k].add_(short).reshape(-1, k)
    most = 2 * off.ravel()
    low, which = near.min(1)
    most += low
    near.scatter_(1, which[:, None], torch.inf)
    second = near.amin(1)
    near.scatter_(1, which[:, None], low[:, None])
    cluster[:], best[:] = which.view(off.shape), low.view(off.shape) + off
    lower[:] = second.view(off.shape) - off
    for pair in torch.nonzero(second <= most).ravel().split(max(1, CELLS // k)):
        among = near[pair] <= most[pair, None]
        rest = near[pair].masked_fill_(among, torch.inf).amin(1)
        line, name = torch.nonzero(among, as_tuple=True)
        image, run = pair // runs, pair % runs
        exact = squares[run[line], name] - 2 * _dots(
            x, place[image[line]], centroids.flatten(0, 1), run[line] * k + name
        )
        first = _lowest(exact, line, len(pair))
        far = torch.zeros_like(first).scatter_reduce_(0, line, squares[run[line], name], "amax")
        far.sqrt_()  # the longest of those that are compared
        tie = TIE * far * (norms[image] + far)
        equal = exact <= (first + tie)[line]
        own = torch.full_like(pair, k).scatter_reduce_(0, line[equal], name[equal], "amin")
        chosen = name == own[line]
        other = _lowest(exact.masked_fill(chosen, torch.inf), line, len(pair))
        cluster[image, run], best[image, run] = own, exact[chosen].to(best.dtype)
        least = torch.minimum(other, rest - off[image, run])
        lower[image, run] = least.to(lower.dtype)


def _lowest(value: torch.Tensor, line: torch.Tensor, lines: int) -> torch.Tensor:
    """The lowest of each line, float64 [line]."""
    lowest = value.new_full((lines,), torch.inf)
    return lowest.scatter_reduce_(0, line, value, "amin")


def _dots(
    x: torch.Tensor, image: torch.Tensor, c: torch.Tensor, which: torch.Tensor
) -> torch.Tensor:
    """x[image]·c[which], float64 [pair]: the product of two float32 is exact in it."""
    step = max(1, PAIRS // x.shape[1])
    parts = zip(image.split(step), which.split(step), strict=True)
    return torch.cat([c.new_empty(0, dtype=torch.float64)] + [
        x.index_select(0, left).double().mul_(c.index_select(0, right)).sum(1)
        for left, right in parts
    ])  # fmt: skip
