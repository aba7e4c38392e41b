"""The vectors that heads are trained on: standardised once, in the arithmetic of the training, and
kept in memory where they fit."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from cluster.vectors.device import fits_on_gpu
from cluster.vectors.rows import Rows
from cluster.vectors.standardize import Scale
from cluster.vectors.tiles import tiles

Gather = Callable[[np.ndarray], torch.Tensor]


def standardized_gather(
    rows: Rows, device: str, memory_gb: float, scale: Scale, dtype: torch.dtype = torch.float32
) -> Gather:
    """A function from rows (int64 [...]) to their vectors on the device, standardised by `scale`,
    `dtype` [..., dim].

    All are kept there if they take at most `memory_gb` (1e9 bytes) on a CPU, or half of what is
    free on a GPU; else each batch is read anew. The numbers are the same.
    """
    mean, deviation = (torch.from_numpy(each).to(device) for each in scale)

    def standardized(x: torch.Tensor) -> torch.Tensor:
        """In float32, then rounded; x is not needed any more."""
        return x.sub_(mean).div_(deviation).to(dtype)

    kept = None
    if _fits(len(rows) * rows.dim * dtype.itemsize, device, memory_gb):
        kept = torch.empty(len(rows), rows.dim, dtype=dtype, device=device)
        for here, x in tiles(rows, device):
            kept[here] = standardized(x.clone())

    def gather(index: np.ndarray) -> torch.Tensor:
        flat = index.reshape(-1)
        if kept is not None:
            x = kept.index_select(0, torch.from_numpy(flat).to(device))
        else:
            x = standardized(torch.from_numpy(rows.take(flat)).to(device))
        return x.view(*index.shape, rows.dim)

    return gather


def _fits(size: int, device: str, memory_gb: float) -> bool:
    """Whether so many bytes can stay on the device."""
    return fits_on_gpu(size // 4, device) if device.startswith("cuda") else size <= memory_gb * 1e9


def random_view_gather(
    views: Sequence[Gather], seed: int
) -> Callable[[int, np.ndarray], torch.Tensor]:
    """A function from a step and rows (int64 [...]) to their vectors, each in a view drawn by the
    seed and the step."""

    def gather(step: int, index: np.ndarray) -> torch.Tensor:
        drawn = np.random.default_rng([seed, step, 1]).integers(len(views), size=index.shape)
        return _mixed(views, drawn, index)

    return gather


def two_view_gather(
    views: Sequence[Gather], seed: int
) -> Callable[[int, np.ndarray], torch.Tensor]:
    """A function from a step and rows (int64 [...]) to their vectors in two views, float32 [2, ...,
    dim], drawn by the seed and the step; no image has the same view twice. Of 2 views or more."""

    def gather(step: int, index: np.ndarray) -> torch.Tensor:
        generator, n = np.random.default_rng([seed, step, 2]), len(views)
        first = generator.integers(n, size=index.shape)
        second = (first + 1 + generator.integers(n - 1, size=index.shape)) % n
        return _mixed(views, np.stack([first, second]), np.stack([index, index]))

    return gather


def _mixed(views: Sequence[Gather], drawn: np.ndarray, index: np.ndarray) -> torch.Tensor:
    """Each row in the view that was drawn for it (both int64 [...])."""
    out = views[0](index)
    for number, view in enumerate(views[1:], 1):
        here = drawn == number
        out[torch.from_numpy(here).to(out.device)] = view(index[here])
    return out
