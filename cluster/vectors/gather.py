"""Gather training batches of standardised vectors, cached in the dtype of the training if they
fit in memory."""

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

    All are cached there if they take at most `memory_gb` (1e9 bytes) on a CPU, or half of the free
    memory of a GPU; else each batch is read from `rows`. The numbers are the same.
    """
    mean, deviation = (torch.from_numpy(each).to(device) for each in scale)

    def standardized(x: torch.Tensor) -> torch.Tensor:
        """In float32, then rounded to dtype; overwrites x."""
        return x.sub_(mean).div_(deviation).to(dtype)

    cache = None
    if _fits(len(rows) * rows.dim * dtype.itemsize, device, memory_gb):
        cache = torch.empty(len(rows), rows.dim, dtype=dtype, device=device)
        for here, x in tiles(rows, device):
            cache[here] = standardized(x.clone())

    def gather(index: np.ndarray) -> torch.Tensor:
        flat = index.reshape(-1)
        if cache is not None:
            x = cache.index_select(0, torch.from_numpy(flat).to(device))
        else:
            x = standardized(torch.from_numpy(rows.take(flat)).to(device))
        return x.view(*index.shape, rows.dim)

    return gather


def _fits(size: int, device: str, memory_gb: float) -> bool:
    """Whether `size` bytes can be cached on the device."""
    return fits_on_gpu(size // 4, device) if device.startswith("cuda") else size <= memory_gb * 1e9


def random_view_gather(
    views: Sequence[Gather], seed: int
) -> Callable[[int, np.ndarray], torch.Tensor]:
    """A function from a step and rows (int64 [...]) to their vectors, each from an augmented view
    drawn by the seed and the step."""

    def gather(step: int, index: np.ndarray) -> torch.Tensor:
        drawn = np.random.default_rng([seed, step, 1]).integers(len(views), size=index.shape)
        return _from_views(views, drawn, index)

    return gather


def two_view_gather(
    views: Sequence[Gather], seed: int
) -> Callable[[int, np.ndarray], torch.Tensor]:
    """A function from a step and rows (int64 [...]) to their vectors in two different views,
    float32 [2, ..., dim], drawn by the seed and the step. views: 2 or more."""

    def gather(step: int, index: np.ndarray) -> torch.Tensor:
        generator, n = np.random.default_rng([seed, step, 2]), len(views)
        first = generator.integers(n, size=index.shape)
        second = (first + 1 + generator.integers(n - 1, size=index.shape)) % n
        return _from_views(views, np.stack([first, second]), np.stack([index, index]))

    return gather


def _from_views(views: Sequence[Gather], drawn: np.ndarray, index: np.ndarray) -> torch.Tensor:
    """The vector of each row from the view drawn for it (both int64 [...])."""
    out = views[0](index)
    for number, view in enumerate(views[1:], 1):
        here = drawn == number
        out[torch.from_numpy(here).to(out.device)] = view(index[here])
    return out
