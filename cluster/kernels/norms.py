"""Lengths of vectors, and distances to a centroid that is known, by differences: exact near 0."""

from typing import NamedTuple

import numpy as np
import torch

from cluster.kernels.jit import compiled
from cluster.kernels.low_precision import coarse
from cluster.kernels.threads import on_cores

ROWS = 1024  # that a core takes at once


class Measures(NamedTuple):
    """length: float32 [image]; rest: float32 [image], what coarse products take a vector from
    itself, at most; totals: float64 [block of ROWS, dim], sums of the vectors."""

    length: torch.Tensor
    rest: torch.Tensor
    totals: torch.Tensor


def measured(x: torch.Tensor, short: torch.Tensor | None = None) -> Measures:
    """Of x [image, dim], in one read. Writes `short`, if given: x as bfloat16."""
    n, dim = x.shape
    length, rest = torch.empty(2, n, device=x.device)
    total = torch.zeros(-(-n // ROWS), dim, dtype=torch.float64, device=x.device)
    way = coarse(x.device)
    if x.is_cuda:
        for at, some in enumerate(x.split(ROWS)):
            here = slice(at * ROWS, at * ROWS + len(some))
            length[here], rest[here] = some.norm(dim=1), way.rest(some)
            total[at] = some.sum(0, dtype=torch.float64)
    else:
        half = torch.empty(0, dim, dtype=torch.int16) if short is None else short.view(torch.int16)
        told = tuple(each.numpy() for each in (x, length, rest, total, half))
        rounds = bool(way.error) or short is not None
        on_cores(lambda start: _measure(start, rounds, *told), range(0, n, ROWS))
    return Measures(length, rest, total)


def rests(x: torch.Tensor) -> torch.Tensor:
    """What coarse products take x [image, dim] from itself at most."""
    if x.is_cuda:
        return coarse(x.device).rest(x)
    return measured(x).rest


def distances(x: torch.Tensor, centroids: torch.Tensor, cluster: torch.Tensor) -> torch.Tensor:
    """Of x [image, dim] to its own (`cluster`, int64 [image]) of centroids [cluster, dim]."""
    if x.is_cuda:
        parts = zip(x.split(ROWS * 16), cluster.split(ROWS * 16), strict=True)
        return torch.cat([centroids[own].sub_(part).norm(dim=1) for part, own in parts])
    out = torch.empty(len(x))
    told = x.numpy(), centroids.numpy(), cluster.contiguous().numpy(), out.numpy()
    on_cores(lambda start: _distances(start, min(start + ROWS, len(x)), *told),
             range(0, len(x), ROWS))  # fmt: skip
    return out


@compiled
def _measure(
    start: int, coarse: bool, x: np.ndarray, length: np.ndarray, rest: np.ndarray,
    total: np.ndarray, half: np.ndarray,
) -> None:  # fmt: skip
    dim = np.uint64(x.shape[1])
    bits = np.empty(dim, np.int32)
    near = bits.view(np.float32)
    out = total[start // ROWS]
    for image in range(start, min(start + ROWS, len(x))):
        row, square = x[image], 0.0
        for d in range(dim):
            square += np.float64(row[d]) * np.float64(row[d])
            out[d] += np.float64(row[d])
        length[image], rest[image] = np.sqrt(square), 0
        if coarse:  # rounded to bfloat16, of equally near ones to the even one
            whole = row.view(np.int32)
            for d in range(dim):
                odd = (whole[d] >> np.int32(16)) & np.int32(1)
                bits[d] = (whole[d] + np.int32(0x7FFF) + odd) & np.int32(-65536)
            square = 0.0
            for d in range(dim):
                apart = np.float64(row[d]) - np.float64(near[d])
                square += apart * apart
            rest[image] = np.sqrt(square)
        if len(half):
            for d in range(dim):
                half[image, d] = np.int16(bits[d] >> np.int32(16))


@compiled
def _distances(
    start: int, stop: int, x: np.ndarray, centroids: np.ndarray, cluster: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    for image in range(start, stop):
        square, own = 0.0, cluster[image]
        for d in range(x.shape[1]):
            apart = np.float64(x[image, d]) - np.float64(centroids[own, d])
            square += apart * apart
        out[image] = np.sqrt(square)
