"""Which of the centroids that may be nearest to an image is, by float64."""

from typing import NamedTuple

import numpy as np
import torch

FEW, PAIRS = 16, 256  # centroids that are compared with one image alone; such pairs at once
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
    maybe: torch.Tensor,
    norms: torch.Tensor,
    centroids: torch.Tensor,
    squares: torch.Tensor,
) -> Decided:
    """Doubts are images of x (float32 [image, dim]) in runs (both int64 [doubt]), their norms, and
    the clusters that `maybe` are nearest, bool [doubt, cluster].

    centroids: float32 [run, cluster, dim]; squares: float64 [run, cluster]. Ties: the lower
    cluster.
    """
    longest, count = squares.amax(1).sqrt(), maybe.sum(1)
    tie = TIE * longest[run] * (norms + longest[run])
    out = Decided(torch.empty_like(image), torch.empty_like(norms), torch.empty_like(norms))
    few = torch.nonzero(count <= FEW).ravel()
    if len(few):
        line, cluster = torch.nonzero(maybe.index_select(0, few), as_tuple=True)
        first = count[few].cumsum(0) - count[few]
        place = torch.arange(len(line), device=x.device) - first[line]
        name = torch.zeros(len(few), FEW, dtype=torch.int64, device=x.device)
        scores = torch.full_like(name, torch.inf, dtype=torch.float64)
        own, name[line, place] = run[few][line], cluster
        which = own * centroids.shape[1] + cluster
        product = _dots(x, image[few][line], centroids.flatten(0, 1), which)
        scores[line, place] = squares[own, cluster] - 2 * product
        at, out.best[few], out.second[few] = _first_two(scores, tie[few])
        out.cluster[few] = name.gather(1, at[:, None]).ravel()
    many = torch.nonzero(count > FEW).ravel()
    for each in torch.unique(run[many]).tolist():
        here = many[run[many] == each]
        wide, c = x.index_select(0, image[here]).double(), centroids[each].double()
        scores = torch.addmm(squares[each], wide, c.T, alpha=-2)
        for into, value in zip(out, _first_two(scores, tie[here]), strict=True):
            into[here] = value
    return out


def _dots(
    x: torch.Tensor, image: torch.Tensor, c: torch.Tensor, which: torch.Tensor
) -> torch.Tensor:
    """x[image]·c[which], summed in float64, in which the product of two float32 is exact."""
    out = torch.empty(len(image), dtype=torch.float64, device=x.device)
    for low in range(0, len(image), PAIRS):
        here = slice(low, low + PAIRS)
        left, right = x.index_select(0, image[here]), c.index_select(0, which[here])
        if x.is_cuda:
            out[here] = left.double().mul_(right).sum(1)
        else:  # without a product of vectors in memory
            rows = "ij,ij->i", left.numpy(), right.numpy()
            out[here] = torch.from_numpy(np.einsum(*rows, dtype=np.float64))
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
