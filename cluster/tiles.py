"""Rows as tensors on the device, one tile after the other."""

from collections.abc import Iterator

import numpy as np
import torch

from cluster.rows import TILE, Rows


def tiles(
    rows: Rows, device: str, *, unit: bool = False, shift: torch.Tensor | None = None
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Which rows, and those rows: float32 [image, dim], of length 1 if `unit`, less `shift`."""
    for start in range(0, len(rows), TILE):
        stop = min(start + TILE, len(rows))
        x = to_tile(rows.block(start, stop), device, unit)
        yield slice(start, stop), x if shift is None else x - shift


def to_tile(block: np.ndarray, device: str, unit: bool) -> torch.Tensor:
    """A block on the device, scaled to unit length for the cosine metric. Zeros stay zeros."""
    x = torch.from_numpy(block if block.flags.writeable else block.copy()).to(device)
    return torch.nn.functional.normalize(x, dim=1) if unit else x
