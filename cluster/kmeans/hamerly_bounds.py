"""Hamerly's bounds on the distances of images to centroids (SDM 2010).

`upper` bounds the distance to the assigned centroid from above, `lower` that to any other centroid
from below. As long as upper < lower the image keeps its cluster, and no distance is computed. When
the centroids move, the bounds are widened by how far they moved.
"""

from typing import Any, final

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64

from cluster.kernels.jit import compiled

UP, DOWN = np.float32(1 + 2.0**-22), np.float32(1 - 2.0**-22)  # more than a float32 sum rounds by
GATHER = 64  # distances whose computation takes as long as fetching one image by itself


@final
class Bounds:
    """upper, lower: float32 [run, image]."""

    def __init__(self, runs: int, n: int, device: str) -> None:
        self.upper = torch.empty(runs, n, device=device)
        self.lower = torch.empty(runs, n, device=device)
        self.reset()

    def reset(self) -> None:
        """Bounds that hold whatever the centroids."""
        self.upper.fill_(torch.inf)
        self.lower.fill_(0)

    def widen(
        self,
        runs: Int64[torch.Tensor, " active"],
        here: slice,
        cluster: Int32[torch.Tensor, "run image_of_chunk"],
        shift: Float32[torch.Tensor, "active cluster"],
    ) -> Bool[torch.Tensor, " image"]:
        """Widen the bounds of the images `here` in `runs` after the centroids moved by `shift`.
        cluster: the assignments of all runs. Returns which images may have another nearest
        centroid now, in any of the runs."""
        first, second, which = _two_largest(shift)
        if shift.is_cuda:
            own = cluster[runs, here].long()
            upper = self.upper[runs, here].add_(shift.gather(1, own)).mul_(float(UP))
            other = torch.where(own == which[:, None], second[:, None], first[:, None])
            lower = self.lower[runs, here].sub_(other).mul_(float(DOWN))
            self.upper[runs, here], self.lower[runs, here] = upper, lower
            return (lower <= upper).any(0)
        undecided = torch.zeros(here.stop - here.start, dtype=torch.bool)
        arrays = self.upper, self.lower, cluster, runs, shift, first, second, which, undecided
        _widen_runs(here.start, *(each.numpy() for each in arrays))
        if float(undecided.sum()) * (shift.numel() + GATHER) > len(undecided) * shift.numel():
            undecided[:] = True  # a whole tile needs no fetching of single images
        return undecided


def _two_largest(
    shift: Float32[torch.Tensor, "active cluster"],
) -> tuple[
    Float32[torch.Tensor, " active"],
    Float32[torch.Tensor, " active"],
    Int64[torch.Tensor, " active"],
]:
    """The largest shift of each run, the second largest, and the cluster of the largest."""
    if shift.shape[1] == 1:
        only = shift[:, 0]
        return only, torch.zeros_like(only), torch.zeros_like(only, dtype=torch.long)
    largest, which = shift.topk(2)
    return largest[:, 0].contiguous(), largest[:, 1].contiguous(), which[:, 0].contiguous()


@compiled
def _widen_runs(
    start: int, upper: np.ndarray, lower: np.ndarray, cluster: np.ndarray, runs: np.ndarray,
    shift: np.ndarray, first: np.ndarray, second: np.ndarray, which: np.ndarray,
    undecided: np.ndarray,
) -> None:  # fmt: skip
    for at in range(len(runs)):
        here = slice(start, start + len(undecided))
        high, low = upper[runs[at], here], lower[runs[at], here]
        own = cluster[runs[at], here]
        widen(own, shift[at], first[at], second[at], which[at], high, low, UP, DOWN)
        for image in range(len(undecided)):
            undecided[image] |= low[image] <= high[image]


@compiled
def widen(
    own: np.ndarray, shift: np.ndarray, first: Any, second: Any, which: int,
    upper: np.ndarray, lower: np.ndarray, up: Any, down: Any,
) -> None:  # fmt: skip
    """Widen the bounds of the images of one run, in place.

    own: int [image], the assigned clusters; shift: float [cluster], how far each centroid moved;
    first, second: the two largest shifts, the first of cluster `which`; upper, lower: float
    [image]; up, down: factors that cover the rounding of the sums.
    """
    for image in range(len(own)):
        other = second if own[image] == which else first
        upper[image] = (upper[image] + shift[own[image]]) * up
        lower[image] = (lower[image] - other) * down
