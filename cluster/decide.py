"""Which of the centroids that may be nearest to an image is, by float64."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.cores import on_cores

CELLS = 2**23  # scores in float64 at once
FEW, PAIRS = 16, 256  # centroids that are compared with one image alone; such pairs at once
# Errors of a dot product of n float32 add up like a random walk: to a few times this, times √n.
ROUNDING = 16 * 2.0**-24
TIE = 1e-12  # squared distances that differ by less, relative to |x||c|, are equal


class Decided(NamedTuple):
    """cluster: int64 [doubt]; best and second: float32 [doubt], |x - c|² - |x|² of it and of the
    next of those that were compared."""

    cluster: torch.Tensor
    best: torch.Tensor
    second: torch.Tensor


def decide(
    x: torch.Tensor,
    image: torch.Tensor,
    run: torch.Tensor,
    count: torch.Tensor,
    cluster: torch.Tensor,
    norms: torch.Tensor,
    centroids: torch.Tensor,
    squares: torch.Tensor,
) -> Decided:
    """Doubts are images of x (float32 [image, dim]) in runs (both int64 [doubt]), with their norms
    and `count` clusters each that may be nearest; of doubts with up to FEW they are `cluster`
    (int64 [candidate]), rising, doubt after doubt.

    centroids: float32 [run, cluster, dim]; squares: float64 [run, cluster]. Ties: the lower
    cluster.
    """
    longest = squares.amax(1).sqrt()[run]
    tie = TIE * longest * (norms + longest)
    out = Decided(torch.empty_like(image), torch.empty_like(norms), torch.empty_like(norms))
    few = count <= FEW
    here = torch.nonzero(few).ravel()
    count = count[here]
    line = torch.arange(len(here), device=x.device).repeat_interleave(count)
    place = torch.arange(len(line), device=x.device) - (count.cumsum(0) - count)[line]
    name = torch.zeros(len(here), FEW, dtype=torch.int64, device=x.device)
    scores = torch.full_like(name, torch.inf, dtype=torch.float64)
    own = run[here][line]
    vector, centre = image[here][line], own * len(centroids[0]) + cluster
    scale, flat = norms[here][line] * longest[here][line], centroids.flatten(0, 1)
    # Float32 says who is clearly not it; the others are few
    product = _dots(x, vector, flat, centre, torch.float32)
    scores[line, place] = squares[own, cluster] - 2 * product
    off = 2 * ROUNDING * x.shape[1] ** 0.5 * scale
    close = scores[line, place] - off <= scores.amin(1)[line] + off
    close &= (close.float().new_zeros(len(here)).index_add_(0, line, close.float()) > 1)[line]
    near = torch.nonzero(close).ravel()
    product[near] = _dots(x, vector[near], flat, centre[near], torch.float64)
    scores[line, place] = squares[own, cluster] - 2 * product
    name[line, place] = cluster
    at, out.best[here], out.second[here] = _first_two(scores, tie[here])
    out.cluster[here] = name.gather(1, at[:, None]).ravel()
    many = torch.nonzero(~few).ravel()
    for each in torch.unique(run[many]).tolist():
        own, c = many[run[many] == each], centroids[each].double()
        for here in own.split(max(1, CELLS // len(c))):
            wide = x.index_select(0, image[here]).double()
            scores = torch.addmm(squares[each], wide, c.T, alpha=-2)
            for into, value in zip(out, _first_two(scores, tie[here]), strict=True):
                into[here] = value
    return out


def _dots(
    x: torch.Tensor, image: torch.Tensor, c: torch.Tensor, which: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """x[image]·c[which], float64 [pair], summed in `dtype`; in float64 the product of two float32
    is exact."""
    out = torch.empty(len(image), dtype=torch.float64, device=x.device)

    size = max(PAIRS, 2**24 // x.shape[1]) if x.is_cuda else PAIRS

    def part(low: int) -> None:
        here = slice(low, low + size)
        left, right = x.index_select(0, image[here]), c.index_select(0, which[here])
        if x.is_cuda:
            out[here] = left.to(dtype).mul_(right).sum(1)
        else:  # without a product of vectors in memory
            rows = "ij,ij->i", left.numpy(), right.numpy()
            kind = np.float64 if dtype == torch.float64 else np.float32
            out.numpy()[here] = np.einsum(*rows, dtype=kind)

    starts = range(0, len(image), size)
    if x.is_cuda:
        for low in starts:
            part(low)
    else:
        on_cores(part, starts)
    return out


def _first_two(
    scores: torch.Tensor, tie: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where each row is lowest, of what is equal up to `tie` the first: int64 [row]; how low it is,
    and the next."""
    first = (scores <= (scores.amin(1) + tie)[:, None]).byte().argmax(1)
    best = scores.gather(1, first[:, None])
    scores.scatter_(1, first[:, None], torch.inf)
    return first, best.ravel().float(), scores.amin(1).float()
