"""Rows at hand for training: on the device if they fit there, else gathered step by step."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from cluster.room import has_room
from cluster.rows import ArrayRows, Rows
from cluster.tiles import tiles

Gather = Callable[[np.ndarray], torch.Tensor]


def resident(rows: Rows, device: str) -> Gather:
    """A function from rows (int64 [...]) to their vectors on the device, float32 [..., dim]."""
    kept = _kept(rows, device)

    def gather(index: np.ndarray) -> torch.Tensor:
        flat = index.reshape(-1)
        if kept is None:
            x = torch.from_numpy(rows.take(flat)).to(device)
        else:
            x = kept[torch.from_numpy(flat).to(device)]
        return x.view(*index.shape, rows.dim)

    return gather


def _kept(rows: Rows, device: str) -> torch.Tensor | None:
    if has_room(len(rows) * rows.dim, device):
        return torch.cat([x for _, x in tiles(rows, device)])
    on_cpu = not device.startswith("cuda")
    if on_cpu and isinstance(rows, ArrayRows) and rows.array.flags.writeable:
        return torch.from_numpy(rows.array)
    return None


def of_any_view(views: Sequence[Gather], seed: int) -> Callable[[int, np.ndarray], torch.Tensor]:
    """A function from a step and rows (int64 [...]) to their vectors, each in a view drawn by the
    seed and the step."""

    def gather(step: int, index: np.ndarray) -> torch.Tensor:
        drawn = np.random.default_rng([seed, step, 1]).integers(len(views), size=index.shape)
        return _mixed(views, drawn, index)

    return gather


def of_two_views(views: Sequence[Gather], seed: int) -> Callable[[int, np.ndarray], torch.Tensor]:
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
