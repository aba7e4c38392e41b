"""Bounds on the distances of images to centroids, which widen as the centroids go.

`upper`: to the own centroid at most; `lower`: to any other at least (Hamerly, SDM 2010). Where they
do not cross, the image stays where it is and is not looked at.
"""

from typing import final

import numpy as np
import torch

from cluster.kernels.jit import compiled

UP, DOWN = np.float32(1 + 2.0**-22), np.float32(1 - 2.0**-22)  # more than a float32 sum rounds by
GATHER = 64  # comparisons that cost as much as fetching one image by itself


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
    ) -> torch.Tensor:
        """After the centroids of `runs` went so far (float32 [run, cluster]): which of the images
        `here` (bool [image]), which are in `cluster` (int32 [run of all, image of all]), may be
        nearer to another now, in any of the runs."""
        first, second, which = _longest(way)
        if way.is_cuda:
            own = cluster[runs, here].long()
            upper = self.upper[runs, here].add_(way.gather(1, own)).mul_(float(UP))
            other = torch.where(own == which[:, None], second[:, None], first[:, None])
            lower = self.lower[runs, here].sub_(other).mul_(float(DOWN))
            self.upper[runs, here], self.lower[runs, here] = upper, lower
            look = (lower <= upper).any(0)
        else:
            look = torch.zeros(here.stop - here.start, dtype=torch.bool)
            told = self.upper, self.lower, cluster, runs, way, first, second, which, look
            _widen(here.start, *(each.numpy() for each in told))
        if float(look.sum()) * (way.numel() + GATHER) > len(look) * way.numel():
            look[:] = True  # in one piece, without fetching
        return look


def _longest(way: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The longest way of each run, the next, and whose the longest is."""
    if way.shape[1] == 1:
        return way[:, 0], torch.zeros_like(way[:, 0]), torch.zeros_like(way[:, 0], dtype=torch.long)
    longest, which = way.topk(2)
    return longest[:, 0].contiguous(), longest[:, 1].contiguous(), which[:, 0].contiguous()


@compiled
def _widen(
    start: int, upper: np.ndarray, lower: np.ndarray, cluster: np.ndarray, runs: np.ndarray,
    way: np.ndarray, first: np.ndarray, second: np.ndarray, which: np.ndarray, look: np.ndarray,
) -> None:  # fmt: skip
    for at in range(len(runs)):
        run = runs[at]
        for image in range(len(look)):
            own = cluster[run, start + image]
            other = second[at] if own == which[at] else first[at]
            high = (upper[run, start + image] + way[at, own]) * UP
            low = (lower[run, start + image] - other) * DOWN
            upper[run, start + image], lower[run, start + image] = high, low
            if low <= high:
                look[image] = True
