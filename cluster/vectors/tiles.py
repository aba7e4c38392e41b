"""Rows as tensors on the device, one tile after the other."""

from collections.abc import Iterator

import numpy as np
import torch

from cluster.vectors.rows import TILE, Rows


def tiles(rows: Rows, device: str, *, unit: bool = False) -> Iterator[tuple[slice, torch.Tensor]]:
    """Which rows, and those rows: float32 [image, dim], of length 1 if `unit`."""
    for start in range(0, len(rows), TILE):
        stop = min(start + TILE, len(rows))
        yield slice(start, stop), to_tile(rows.block(start, stop), device, unit)


def to_tile(block: np.ndarray, device: str, unit: bool) -> torch.Tensor:
    """A block on the device, scaled to unit length for the cosine metric. Zeros stay zeros."""
    x = torch.from_numpy(block if block.flags.writeable else block.copy()).to(device)
    if not unit:
        return x
    # In float64, so that what else is in the block leaves no trace in the rounding.
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float64)
    return x / length.clamp_(min=1e-12).float()
