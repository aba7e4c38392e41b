"""Bounds on the distances of images to centroids, which widen as the centroids go.

`upper`: to the own centroid at most; `lower`: to any other at least (Hamerly, SDM 2010). Where they
do not cross, the image stays where it is and is not looked at. But: where few centroids went far
and most did not, those few alone are looked at, as many as make the least work.
"""

from typing import NamedTuple, final

import torch

UP, DOWN = 1 + 2.0**-22, 1 - 2.0**-22  # more than what a sum in float32 is rounded by
GATHER = 64  # comparisons that cost as much as fetching one image by itself
MANY = 64  # centroids, of which some may be worth looking at alone
SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)  # of the centroids, that may count as slow


class Look(NamedTuple):
    """all: bool [image], who is to be compared with all centroids; fast: bool [image], with the
    centroids `which` (int64 [fast cluster])."""

    all: torch.Tensor
    fast: torch.Tensor | None
    which: torch.Tensor | None


@final
class Bounds:
    """upper, lower: float32 [run, image]."""

    def __init__(self, runs: int, n: int, device: str) -> None:
        self.upper = torch.empty(runs, n, device=device)
        self.lower = torch.empty(runs, n, device=device)
        self.forget()

    def forget(self) -> None:
        """Nothing is known."""
        self.upper.fill_(torch.inf)
        self.lower.fill_(0)

    def widen(
        self, runs: torch.Tensor, here: slice, cluster: torch.Tensor, way: torch.Tensor
    ) -> Look:
        """After the centroids of `runs` went so far (float32 [run, cluster]): who of the images
        `here`, which are in `cluster` (int64 [run, image]), may be nearer to another now."""
        upper = self.upper[runs, here].add_(way.gather(1, cluster)).mul_(UP)
        lower, other = self.lower[runs, here], _others(way).gather(1, cluster)
        look = (lower - upper <= other).any(0)
        fast = which = None
        work = float(look.sum()) * (way.numel() + GATHER)
        if way.numel() >= MANY and len(runs) == 1:
            least, slow = _slow(lower[0] - upper[0], look, way[0])
            if least < min(work, len(look) * way.numel()):
                fast = look & (lower[0] - upper[0] > slow)
                other[0, fast] = slow
                look, which = look & ~fast, torch.nonzero(way[0] > slow).ravel()
        if fast is None and work > len(look) * way.numel():
            look[:] = True  # in one piece, without fetching
        self.upper[runs, here], self.lower[runs, here] = upper, lower.sub_(other).mul_(DOWN)
        return Look(look, fast, which)


def _others(way: torch.Tensor) -> torch.Tensor:
    """The longest way of all other clusters, for each: float32 [run, cluster]."""
    if way.shape[1] == 1:
        return torch.zeros_like(way)
    (first, second), (at, _) = (each.T for each in way.topk(2))
    other = first[:, None].repeat(1, way.shape[1])
    return other.scatter_(1, at[:, None], second[:, None])


def _slow(
    slack: torch.Tensor, look: torch.Tensor, way: torch.Tensor
) -> tuple[float, torch.Tensor | float]:
    """The least work there is when centroids count as slow up to some way, and that way."""
    slack = slack[look]
    if not len(slack):
        return torch.inf, 0.0
    ways = torch.quantile(way, torch.tensor(SHARES, device=way.device))
    close = (slack[:, None] <= ways).float().sum(0)
    fast = (way > ways[:, None]).sum(1)
    work = close * (len(way) + GATHER) + len(slack) * (fast + GATHER)
    return float(work.min()), ways[work.argmin()]
