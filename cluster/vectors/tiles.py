"""Read rows tile by tile, as tensors on the device."""

from collections.abc import Iterator

import numpy as np
import torch

from cluster.vectors.rows import TILE, Rows


def tiles(
    rows: Rows, device: str, *, unit: bool = False, size: int | None = None
) -> Iterator[tuple[slice, torch.Tensor]]:
    """The range of rows of each tile, of TILE rows or another `size`, and the rows: float32 [image,
    dim], of length 1 if `unit`."""
    size = size or TILE
    for start in range(0, len(rows), size):
        stop = min(start + size, len(rows))
        yield slice(start, stop), to_tile(rows.block(start, stop), device, unit)


def to_tile(block: np.ndarray, device: str, unit: bool) -> torch.Tensor:
    """A block on the device, scaled to unit length if `unit`. Vectors of zeros stay zeros."""
    x = torch.from_numpy(block if block.flags.writeable else block.copy()).to(device)
    if not unit:
        return x
    # In float64, so that after rounding the other rows of the block have no influence
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float64)
    return x / length.clamp_(min=1e-12).float()
